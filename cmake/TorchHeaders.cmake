# anamnesis_sees_torch(target): how every file is compiled that includes LibTorch.
#
# Its parallel_for, a template, uses OpenMP where the including file is compiled with it, and one
# thread otherwise. What all these files begin with is compiled once, instead of 8 of the 10 seconds
# that a small file takes; single operators stay out of it, so that a file that names one must
# include it. A precompiled header serves one way of addressing: none of these files is part of the
# Python module, for which the other rooms are compiled position-independent.
find_package(OpenMP COMPONENTS CXX)
if(NOT OpenMP_CXX_FOUND)
  message(WARNING "no OpenMP for this compiler: loops over tensors will use one thread (g++ has it; for clang install libomp-dev)")
endif()

function(anamnesis_sees_torch target)
  if(NOT TARGET anamnesis_torch_headers)
    set(source ${CMAKE_BINARY_DIR}/torch_headers.cpp)
    file(CONFIGURE OUTPUT ${source} CONTENT "// Only its precompiled header is wanted.\n")
    add_library(anamnesis_torch_headers OBJECT ${source})
    target_link_libraries(anamnesis_torch_headers PRIVATE torch anamnesis_warnings)
    target_compile_features(anamnesis_torch_headers PUBLIC cxx_std_20)
    # As in every room, which links fmt.
    target_compile_definitions(anamnesis_torch_headers PRIVATE FMT_HEADER_ONLY=1
      $<TARGET_PROPERTY:fmt::fmt,INTERFACE_COMPILE_DEFINITIONS>)
    target_compile_options(anamnesis_torch_headers PRIVATE ${OpenMP_CXX_FLAGS}
      $<$<CXX_COMPILER_ID:GNU>:-fpch-preprocess>)
    set_target_properties(anamnesis_torch_headers PROPERTIES
      CXX_EXTENSIONS OFF POSITION_INDEPENDENT_CODE OFF)
    target_precompile_headers(anamnesis_torch_headers PRIVATE
      ${PROJECT_SOURCE_DIR}/cmake/torch_headers.hpp)
  endif()
  target_compile_options(${target} PRIVATE ${OpenMP_CXX_FLAGS}
    $<$<CXX_COMPILER_ID:GNU>:-fpch-preprocess>)
  set_target_properties(${target} PROPERTIES CXX_EXTENSIONS OFF POSITION_INDEPENDENT_CODE OFF)
  target_precompile_headers(${target} REUSE_FROM anamnesis_torch_headers)
endfunction()
