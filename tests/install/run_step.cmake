# run_step(command…): ends the script where the command fails; its standard output is in step_output.
function(run_step)
  execute_process(COMMAND ${ARGN} RESULT_VARIABLE result OUTPUT_VARIABLE output ERROR_VARIABLE errors)
  if(NOT result EQUAL 0)
    message(FATAL_ERROR "${ARGN} failed (${result}):\n${output}${errors}")
  endif()
  set(step_output "${output}" PARENT_SCOPE)
endfunction()

# Builds the project in a folder against the prefix.
function(build_project source build prefix)
  run_step(${CMAKE_COMMAND} -S ${source} -B ${build} -DCMAKE_PREFIX_PATH=${prefix}
    -DCMAKE_CXX_COMPILER=${COMPILER} "-DCMAKE_CXX_FLAGS=-Wall -Wextra -Werror")
  run_step(${CMAKE_COMMAND} --build ${build})
endfunction()
