# Declares one room: a static library, its public headers, its tests.
#
#   anamnesis_room(name FLOOR n [TORCH] [MAY_USE room…] [LINK_PRIVATE target…] [PACKAGES package…])
#
# MAY_USE is the whole list of rooms it may include; each must be on a lower floor.
# PACKAGES is what a user of the installed room has to find: arguments of find_package ("fmt",
# "OpenSSL COMPONENTS Crypto"), or NAME=MODULE for a module of pkg-config.
# Sources and tests are found by folder, so that a file that exists is built.
function(anamnesis_room name)
  cmake_parse_arguments(PARSE_ARGV 1 room "TORCH" "FLOOR" "MAY_USE;LINK_PRIVATE;PACKAGES")
  if(DEFINED room_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "room ${name}: unknown arguments ${room_UNPARSED_ARGUMENTS}")
  endif()
  foreach(other IN LISTS room_MAY_USE)
    if(NOT TARGET anamnesis_${other})
      message(FATAL_ERROR "room ${name} may use '${other}', which is not declared yet: a room may only use rooms declared above it")
    endif()
    get_target_property(other_floor anamnesis_${other} ANAMNESIS_FLOOR)
    if(NOT other_floor LESS room_FLOOR)
      message(FATAL_ERROR "room ${name} (floor ${room_FLOOR}) may not use ${other} (floor ${other_floor})")
    endif()
    get_target_property(other_torch anamnesis_${other} ANAMNESIS_TORCH)
    if(other_torch AND NOT room_TORCH)
      message(FATAL_ERROR "room ${name} is torch-free and may not use ${other}, which links LibTorch")
    endif()
  endforeach()

  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/src/*.cpp)
  file(GLOB_RECURSE headers CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/include/*.hpp)
  add_library(anamnesis_${name} STATIC ${sources})
  add_library(anamnesis::${name} ALIAS anamnesis_${name})
  target_sources(anamnesis_${name} PUBLIC FILE_SET HEADERS BASE_DIRS include FILES ${headers})
  target_include_directories(anamnesis_${name} PRIVATE src)
  target_compile_features(anamnesis_${name} PUBLIC cxx_std_20)
  set_target_properties(anamnesis_${name} PROPERTIES
    ANAMNESIS_FLOOR ${room_FLOOR} ANAMNESIS_TORCH ${room_TORCH} EXPORT_NAME ${name}
    CXX_EXTENSIONS OFF VERIFY_INTERFACE_HEADER_SETS ON)
  # For anamnesisConfig.cmake, where each room is a component.
  set_property(GLOBAL APPEND PROPERTY ANAMNESIS_ROOMS ${name})
  set_property(GLOBAL PROPERTY ANAMNESIS_USES_${name} ${room_MAY_USE})
  set_property(GLOBAL PROPERTY ANAMNESIS_PACKAGES_${name} ${room_PACKAGES})
  list(TRANSFORM room_MAY_USE PREPEND anamnesis::)
  target_link_libraries(anamnesis_${name} PUBLIC ${room_MAY_USE}
    PRIVATE ${room_LINK_PRIVATE} $<BUILD_INTERFACE:anamnesis_warnings>)
  set(component core)
  if(room_TORCH)
    set(component runtime)
    target_link_libraries(anamnesis_${name} PUBLIC torch)
    # The wheel's own fmt headers come first on the path, and there is no library for them.
    target_compile_definitions(anamnesis_${name} PUBLIC FMT_HEADER_ONLY=1)
    anamnesis_sees_torch(anamnesis_${name})
  else()
    anamnesis_precompile_room(anamnesis_${name})
  endif()
  install(TARGETS anamnesis_${name} EXPORT anamnesis-${name} COMPONENT ${component}
    FILE_SET HEADERS COMPONENT ${component})

  file(GLOB tests CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/tests/*_test.cpp)
  if(ANAMNESIS_BUILD_TESTS AND tests)
    add_executable(${name}_tests ${tests})
    target_include_directories(${name}_tests PRIVATE src ${PROJECT_SOURCE_DIR}/tests/support)
    target_compile_definitions(${name}_tests PRIVATE
      ANAMNESIS_TESTDATA="${ANAMNESIS_TESTDATA}"
      ANAMNESIS_SHARED="${PROJECT_SOURCE_DIR}/../shared")
    target_link_libraries(${name}_tests PRIVATE
      anamnesis::${name} anamnesis_warnings GTest::gtest GTest::gmock)
    if(room_TORCH)
      target_sources(${name}_tests PRIVATE ${PROJECT_SOURCE_DIR}/tests/support/torch_tests_main.cpp)
      anamnesis_sees_torch(${name}_tests)
      set(parts 4)
    else()
      target_link_libraries(${name}_tests PRIVATE GTest::gtest_main)
      set(parts 1)
      anamnesis_precompile_test(${name}_tests)
    endif()
    anamnesis_register_tests(${name}_tests ${room_TORCH} label ${name})
    anamnesis_add_room_tests(${name}_tests ${name} ${label} ${parts})
  endif()
endfunction()
