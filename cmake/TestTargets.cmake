# What tools/check.sh builds and which tests it runs follows from what the rooms and tests declare:
#
#   target all_tests     every test program and what tests run
#   target torch_tests   those of them that need LibTorch, and its benchmarks
#   label NAME           tests of a room or a suite
#   label NAME.command   tests that run the built or installed command
#   label NAME.torch     (NAME.command.torch) tests that need LibTorch
#
# The parts make one label because gtest_discover_tests of CMake 3.25 passes no lists on.

# anamnesis_register_tests(target is_torch result part…): `result` becomes the label of the target's
# tests.
function(anamnesis_register_tests target is_torch result)
  list(JOIN ARGN . label)
  set_property(GLOBAL APPEND PROPERTY ANAMNESIS_TEST_TARGETS ${target})
  if(is_torch)
    set_property(GLOBAL APPEND PROPERTY ANAMNESIS_TORCH_TARGETS ${target})
    string(APPEND label .torch)
  endif()
  set(${result} ${label} PARENT_SCOPE)
endfunction()

# Called after everything is declared.
function(anamnesis_add_test_targets)
  get_property(tests GLOBAL PROPERTY ANAMNESIS_TEST_TARGETS)
  get_property(torch GLOBAL PROPERTY ANAMNESIS_TORCH_TARGETS)
  add_custom_target(all_tests)
  add_custom_target(torch_tests)
  if(tests)
    add_dependencies(all_tests ${tests})
  endif()
  if(torch)
    add_dependencies(torch_tests ${torch})
  endif()
endfunction()
