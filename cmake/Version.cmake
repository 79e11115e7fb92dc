# The target anamnesis_version: the functions of anamnesis/base/version.hpp. The commit is asked for at
# every build; its source is written only where the answer is a new one.
#
# -DANAMNESIS_COMMIT=… states it where there is no repository (a package built from an archive).
set(ANAMNESIS_COMMIT "" CACHE STRING "The commit that is built; empty: ask git")
function(anamnesis_version_library)
  set(source ${CMAKE_CURRENT_BINARY_DIR}/version.cpp)
  set(write_version ${CMAKE_COMMAND} -DSOURCE=${PROJECT_SOURCE_DIR} -DOUTPUT=${source}
    -DVERSION=${PROJECT_VERSION} -DCOMMIT=${ANAMNESIS_COMMIT} -P ${PROJECT_SOURCE_DIR}/cmake/WriteVersion.cmake)
  add_custom_target(anamnesis_write_version COMMAND ${write_version} BYPRODUCTS ${source}
    COMMENT "Asking git for the commit" VERBATIM)
  add_library(anamnesis_version STATIC ${source})
  add_library(anamnesis::version ALIAS anamnesis_version)
  add_dependencies(anamnesis_version anamnesis_write_version)
  target_link_libraries(anamnesis_version PUBLIC anamnesis::base PRIVATE $<BUILD_INTERFACE:anamnesis_warnings>)
  set_target_properties(anamnesis_version PROPERTIES EXPORT_NAME version CXX_EXTENSIONS OFF)
  install(TARGETS anamnesis_version EXPORT anamnesis-base COMPONENT core)
endfunction()
