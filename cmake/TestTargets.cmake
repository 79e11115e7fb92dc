# What tools/check.sh builds and which tests it runs follows from what the rooms and tests declare:
#
#   target all_tests     every test program and what tests run
#   target room_tests    those of them that run no command: tests of rooms and replays of fuzzing
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
  if(NOT "command" IN_LIST ARGN)
    set_property(GLOBAL APPEND PROPERTY ANAMNESIS_ROOM_TEST_TARGETS ${target})
  endif()
  if(is_torch)
    string(APPEND label .torch)
  endif()
  set(${result} ${label} PARENT_SCOPE)
endfunction()

# anamnesis_add_room_tests(target name label parts): tests that run no command share a process, or
# `parts` of them for several cores: one process a test would load LibTorch more than a thousand times.
# GoogleTest names the test that fails.
function(anamnesis_add_room_tests target name label parts)
  math(EXPR last "${parts} - 1")
  foreach(index RANGE ${last})
    math(EXPR part "${index} + 1")
    set(test ${name}.part_${part}_of_${parts})
    add_test(NAME ${test} COMMAND ${target})
    set_tests_properties(${test} PROPERTIES LABELS ${label} TIMEOUT 1200 ENVIRONMENT
      "GTEST_TOTAL_SHARDS=${parts};GTEST_SHARD_INDEX=${index};GTEST_BRIEF=1")
  endforeach()
endfunction()

# Called after everything is declared.
function(anamnesis_add_test_targets)
  get_property(tests GLOBAL PROPERTY ANAMNESIS_TEST_TARGETS)
  get_property(room_tests GLOBAL PROPERTY ANAMNESIS_ROOM_TEST_TARGETS)
  add_custom_target(all_tests)
  add_custom_target(room_tests)
  if(tests)
    add_dependencies(all_tests ${tests})
  endif()
  if(room_tests)
    add_dependencies(room_tests ${room_tests})
  endif()
endfunction()
