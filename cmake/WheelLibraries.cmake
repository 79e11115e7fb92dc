# BLAS and LAPACK for a wheel: BLIS and the reference LAPACK, static and small, where Debian's packages
# (libblis-pthread-dev, liblapack-dev, libgfortran-12-dev) are there: BLAS::BLAS and LAPACK::LAPACK. Elsewhere the
# system's libraries are linked.
#
# Of BLIS's kernels those for Haswell (AVX2 with FMA) and the portable ones are kept: every other processor
# is told to use the nearer of them, so that the linker drops the rest (three quarters of the size).
find_library(ANAMNESIS_BLIS NAMES libblis.a PATH_SUFFIXES blis-pthread)
find_library(ANAMNESIS_LAPACK NAMES liblapack_pic.a)
execute_process(COMMAND ${CMAKE_CXX_COMPILER} -print-file-name=libgfortran.a
  OUTPUT_VARIABLE gfortran OUTPUT_STRIP_TRAILING_WHITESPACE)
execute_process(COMMAND ${CMAKE_CXX_COMPILER} -print-file-name=libquadmath.a
  OUTPUT_VARIABLE quadmath OUTPUT_STRIP_TRAILING_WHITESPACE)
if(NOT ANAMNESIS_BLIS OR NOT ANAMNESIS_LAPACK OR NOT EXISTS ${gfortran} OR NOT EXISTS ${quadmath}
    OR NOT CMAKE_SYSTEM_PROCESSOR STREQUAL "x86_64")
  message(STATUS "A wheel of the system's BLAS: for a small one install libblis-pthread-dev and liblapack-dev (tools/wheel.sh)")
  return()
endif()
set(nearest "")
foreach(pair IN ITEMS penryn:generic sandybridge:generic bulldozer:generic piledriver:generic
    steamroller:generic excavator:generic knl:haswell zen:haswell zen2:haswell
    zen3:haswell skx:haswell)
  string(REPLACE ":" ";" pair ${pair})
  list(GET pair 0 dropped)
  list(GET pair 1 kept)
  foreach(part IN ITEMS "" _ref _ind)
    list(APPEND nearest "-Wl,--defsym=bli_cntx_init_${dropped}${part}=bli_cntx_init_${kept}${part}")
  endforeach()
endforeach()
# The program and the module share one copy, which has the routines that room linalg calls and no other.
set(declarations ${PROJECT_SOURCE_DIR}/libs/linalg/src/blas.hpp)
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${declarations})
file(STRINGS ${declarations} routines REGEX "^[a-z]+ [a-z0-9]+_\\(")
list(TRANSFORM routines REPLACE "^[a-z]+ ([a-z0-9]+_).*" "\\1")
list(JOIN routines "; " exported)
file(CONFIGURE OUTPUT ${CMAKE_CURRENT_BINARY_DIR}/blas.map CONTENT "{ global: @exported@; local: *; };\n" @ONLY)
file(CONFIGURE OUTPUT ${CMAKE_CURRENT_BINARY_DIR}/blas.cpp CONTENT "" @ONLY)
list(TRANSFORM routines PREPEND "-Wl,-u,")
find_package(Threads REQUIRED)
add_library(anamnesis_blas SHARED ${CMAKE_CURRENT_BINARY_DIR}/blas.cpp)
# BLIS comes first with its own xerbla: that of LAPACK needs the input and output of Fortran.
target_link_libraries(anamnesis_blas PRIVATE
  ${nearest} -Wl,-u,xerbla_ ${routines} ${ANAMNESIS_BLIS} ${ANAMNESIS_LAPACK} ${ANAMNESIS_BLIS}
  ${gfortran} ${quadmath} m Threads::Threads)
target_link_options(anamnesis_blas PRIVATE
  -Wl,--gc-sections -Wl,--version-script=${CMAKE_CURRENT_BINARY_DIR}/blas.map)
install(TARGETS anamnesis_blas LIBRARY DESTINATION anamnesis/lib COMPONENT python)
add_library(BLAS::BLAS ALIAS anamnesis_blas)
add_library(LAPACK::LAPACK ALIAS anamnesis_blas)
