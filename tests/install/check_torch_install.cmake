# Installs the build, then lets the installed command hand over to the program that links LibTorch:
# it must be found, and must find its libraries.
#   cmake -DBUILD=… -DSCRATCH=… -P check_torch_install.cmake
file(REMOVE_RECURSE ${SCRATCH})
execute_process(COMMAND ${CMAKE_COMMAND} --install ${BUILD} --prefix ${SCRATCH}
  OUTPUT_QUIET COMMAND_ERROR_IS_FATAL ANY)
set(ENV{ANAMNESIS_LIBEXEC} "")
execute_process(COMMAND ${SCRATCH}/bin/anamnesis probe --model ${SCRATCH}/nowhere
  RESULT_VARIABLE code ERROR_VARIABLE errors OUTPUT_QUIET)
file(REMOVE_RECURSE ${SCRATCH})
if(NOT code EQUAL 3 OR NOT errors MATCHES "not found")
  message(FATAL_ERROR "expected exit code 3 for a checkpoint that is not there, found ${code}: ${errors}")
endif()
