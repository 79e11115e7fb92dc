# Installs the build, trains a tiny model with the installed command, and lets the example that
# generates text continue a prompt as the command does.
#   cmake -DSOURCE=… -DBUILD=… -DSCRATCH=… -DCOMPILER=… -P check_torch_install.cmake
include(${CMAKE_CURRENT_LIST_DIR}/run_step.cmake)
file(REMOVE_RECURSE ${SCRATCH})
set(prefix ${SCRATCH}/prefix)
set(anamnesis ${prefix}/bin/anamnesis)
run_step(${CMAKE_COMMAND} --install ${BUILD} --prefix ${prefix})
set(ENV{ANAMNESIS_LIBEXEC} "")

# The installed command must find the program that links LibTorch, and that its libraries. The result
# is a model with a tokenizer, of the synthetic language: two steps from random weights.
run_step(${anamnesis} train --init ${SOURCE}/tools/demo_config.json --data synthetic:mix
  --stages 2x2x64 --lr 1e-3 --threads 1 --out ${SCRATCH}/model)
build_project(${SOURCE}/examples/generate_text ${SCRATCH}/generate ${prefix})
set(prompt "find the magic number for river")
run_step(${SCRATCH}/generate/generate_text ${SCRATCH}/model "${prompt}" 12)
string(STRIP "${step_output}" by_example)
run_step(${anamnesis} generate --model ${SCRATCH}/model --prompt "${prompt}" --max-tokens 12 --quiet)
string(STRIP "${step_output}" by_command)
if(by_example STREQUAL "" OR NOT by_example STREQUAL by_command)
  message(FATAL_ERROR "the example wrote '${by_example}', the command '${by_command}'")
endif()
file(REMOVE_RECURSE ${SCRATCH})
