# Installs the build into a scratch prefix and uses it as an outside project does: the command, one low room
# without the packages of the others, and the example that repairs a checkpoint.
#   cmake -DSOURCE=… -DBUILD=… -DSCRATCH=… -DCOMPILER=… -P check_install.cmake
include(${CMAKE_CURRENT_LIST_DIR}/run_step.cmake)
file(REMOVE_RECURSE ${SCRATCH})
set(prefix ${SCRATCH}/prefix)
set(anamnesis ${prefix}/bin/anamnesis)
run_step(${CMAKE_COMMAND} --install ${BUILD} --prefix ${prefix} --component core)
run_step(${anamnesis} --version)
run_step(${anamnesis} example ${SCRATCH}/pair)

build_project(${CMAKE_CURRENT_LIST_DIR}/formats ${SCRATCH}/formats ${prefix})
file(GLOB weights ${SCRATCH}/pair/post/*.safetensors)
list(GET weights 0 weights)
run_step(${SCRATCH}/formats/formats_consumer ${weights})
if(NOT step_output MATCHES "^[1-9][0-9]* tensors, read by anamnesis [0-9]+\\.[0-9]+\\.[0-9]+ \\(.+\\)")
  message(FATAL_ERROR "formats_consumer wrote '${step_output}'")
endif()
run_step(ldd ${SCRATCH}/formats/formats_consumer)
if(step_output MATCHES "pcre2|gmp|lapack|blas|utf8proc|httplib|torch")
  message(FATAL_ERROR "a user of formats links what it does not need:\n${step_output}")
endif()

build_project(${SOURCE}/examples/repair_checkpoint ${SCRATCH}/repair ${prefix})
run_step(${SCRATCH}/repair/repair_checkpoint ${SCRATCH}/pair/pre ${SCRATCH}/pair/post ${SCRATCH}/repaired)
run_step(${anamnesis} verify --pre ${SCRATCH}/pair/pre --post ${SCRATCH}/pair/post
  --repaired ${SCRATCH}/repaired)
# The same weights as the command writes.
run_step(${anamnesis} restore --pre ${SCRATCH}/pair/pre --post ${SCRATCH}/pair/post
  --out ${SCRATCH}/by_command)
file(GLOB written RELATIVE ${SCRATCH}/by_command ${SCRATCH}/by_command/*.safetensors)
if(NOT written)
  message(FATAL_ERROR "restore wrote no weights")
endif()
foreach(file IN LISTS written)
  run_step(${CMAKE_COMMAND} -E compare_files ${SCRATCH}/repaired/${file} ${SCRATCH}/by_command/${file})
endforeach()
file(REMOVE_RECURSE ${SCRATCH})
