# The Python module needs Python's headers and nanobind (a package of PyPI). Gives ANAMNESIS_HAS_PYTHON,
# and says why where it is false. The interpreter is Python_EXECUTABLE where that is set, else .venv's,
# else the first python3 of the PATH.
#
# The rooms become part of a shared object, so all code is compiled for one; calls within the program
# stay direct.
set(ANAMNESIS_HAS_PYTHON FALSE)
# A sanitised module would need an interpreter that loads the sanitiser first.
if(NOT ANAMNESIS_BUILD_PYTHON OR ANAMNESIS_SANITIZE OR ANAMNESIS_BUILD_FUZZERS)
  return()
endif()
if(NOT Python_EXECUTABLE AND EXISTS ${PROJECT_SOURCE_DIR}/.venv/bin/python)
  set(Python_EXECUTABLE ${PROJECT_SOURCE_DIR}/.venv/bin/python)
endif()
find_package(Python 3.10 COMPONENTS Interpreter Development.Module)
if(NOT Python_Development.Module_FOUND)
  message(STATUS "The Python module is not built: there are no headers of Python 3.10 or later (Debian: python3-dev)")
  return()
endif()
execute_process(COMMAND ${Python_EXECUTABLE} -m nanobind --cmake_dir
  OUTPUT_VARIABLE nanobind_ROOT OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET RESULT_VARIABLE failed)
if(failed)
  message(STATUS "The Python module is not built: ${Python_EXECUTABLE} has no nanobind (tools/bootstrap.sh --python)")
  return()
endif()
set(ANAMNESIS_HAS_PYTHON TRUE)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
add_compile_options(-fno-semantic-interposition)
