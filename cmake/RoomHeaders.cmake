# What nearly every file begins with is compiled once: two seconds less for each of them.
#
#   anamnesis_precompile_room(target)   standard library and fmt
#   anamnesis_precompile_test(target)   GoogleTest too
#
# The lists are of headers that have nothing of this project, so that no file sees more of a room
# than it names. ANAMNESIS_PRECOMPILED_HEADERS=OFF compiles without them, as in the presets tidy and fuzz: a
# file that forgot an include fails there. With sanitizers GCC 12 fails on them itself; the preset asan takes clang.
option(ANAMNESIS_PRECOMPILED_HEADERS "Compile once what nearly every file includes" ON)

set(anamnesis_room_headers
  <algorithm> <array> <filesystem> <functional> <map> <memory> <optional> <span> <string>
  <string_view> <utility> <vector> <fmt/format.h>)
set(anamnesis_test_headers ${anamnesis_room_headers} <gmock/gmock.h> <gtest/gtest.h>)

# Without the first, ccache leaves alone what uses a precompiled header. The others find nothing but
# their own mistakes about std::string (GCC bug 105329), which GCC 12 keeps to itself in headers of the
# system, and takes a precompiled one for the project's.
if(CMAKE_CXX_COMPILER_ID STREQUAL GNU)
  set(anamnesis_precompiled_options
    -fpch-preprocess
    -Wno-array-bounds -Wno-restrict -Wno-stringop-overflow -Wno-stringop-overread)
elseif(CMAKE_CXX_COMPILER_ID STREQUAL Clang)
  # ccache compares contents. The warning comes of std::stable_sort's own use of a buffer.
  set(anamnesis_precompiled_options -Xclang -fno-pch-timestamp -Wno-deprecated-declarations)
endif()

# Makes the library that holds the headers of `kind`, room or test, at its first use.
function(anamnesis_make_headers kind)
  set(name anamnesis_${kind}_precompiled)
  if(TARGET ${name})
    return()
  endif()
  set(source ${CMAKE_BINARY_DIR}/${kind}_headers.cpp)
  file(CONFIGURE OUTPUT ${source} CONTENT "// Only its precompiled header is wanted.\n")
  add_library(${name} OBJECT ${source})
  target_compile_features(${name} PUBLIC cxx_std_20)
  target_link_libraries(${name} PRIVATE fmt::fmt anamnesis_warnings ${ARGN})
  set_target_properties(${name} PROPERTIES CXX_EXTENSIONS OFF)
  target_precompile_headers(${name} PRIVATE ${anamnesis_${kind}_headers})
  target_compile_options(${name} PRIVATE ${anamnesis_precompiled_options})
endfunction()

function(anamnesis_reuse_headers target kind)
  target_precompile_headers(${target} REUSE_FROM anamnesis_${kind}_precompiled)
  target_compile_options(${target} PRIVATE ${anamnesis_precompiled_options})
endfunction()

function(anamnesis_precompile_room target)
  if(ANAMNESIS_PRECOMPILED_HEADERS)
    anamnesis_make_headers(room)
    anamnesis_reuse_headers(${target} room)
  endif()
endfunction()

# A precompiled header serves one way of addressing, and programs are not shared objects.
function(anamnesis_precompile_test target)
  if(ANAMNESIS_PRECOMPILED_HEADERS)
    anamnesis_make_headers(test GTest::gtest GTest::gmock)
    set_target_properties(anamnesis_test_precompiled PROPERTIES POSITION_INDEPENDENT_CODE OFF)
    set_target_properties(${target} PROPERTIES CXX_EXTENSIONS OFF POSITION_INDEPENDENT_CODE OFF)
    anamnesis_reuse_headers(${target} test)
  endif()
endfunction()
