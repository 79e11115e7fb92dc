# The same file compiles without its bad line and fails with it: io is seen from formats, not from
# base.
set(base_includes -I${SOURCE}/libs/base/include)
set(good "${CMAKE_CURRENT_BINARY_DIR}/good_include.cpp")
set(bad "${CMAKE_CURRENT_BINARY_DIR}/bad_include.cpp")
file(WRITE ${good} "#include \"anamnesis/base/error.hpp\"\n")
file(WRITE ${bad} "#include \"anamnesis/base/error.hpp\"\n#include \"anamnesis/io/file.hpp\"\n")
execute_process(COMMAND ${COMPILER} -std=c++20 -fsyntax-only ${base_includes} ${good} RESULT_VARIABLE good_result)
execute_process(COMMAND ${COMPILER} -std=c++20 -fsyntax-only ${base_includes} ${bad} RESULT_VARIABLE bad_result ERROR_QUIET)
if(NOT good_result EQUAL 0 OR bad_result EQUAL 0)
  message(FATAL_ERROR "an include upwards compiled, or the control did not")
endif()
