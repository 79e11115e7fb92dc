# What a wheel holds: the package, the program, and one shared library of all rooms, which both use:
# a copy in each would be twice the size. scikit-build-core takes the Python sources itself.
set(rooms base io linalg formats report checkpoint restore language eval)
set(objects $<TARGET_OBJECTS:anamnesis_version>)
foreach(room IN LISTS rooms)
  list(APPEND objects $<TARGET_OBJECTS:anamnesis_${room}>)
endforeach()
# What grades answers and writes reports is compiled for its size: its speed is not what anyone waits for.
foreach(room IN ITEMS report eval)
  target_compile_options(anamnesis_${room} PRIVATE -Os)
  # The shared precompiled header was compiled with other options.
  set_target_properties(anamnesis_${room} PROPERTIES DISABLE_PRECOMPILE_HEADERS ON)
endforeach()
# Names of the project alone are seen from outside, not those of templates and of what it links.
file(CONFIGURE OUTPUT ${CMAKE_CURRENT_BINARY_DIR}/rooms.map @ONLY CONTENT
  "{ global: extern \"C++\" { anamnesis::*; \"typeinfo for anamnesis::*\"; \"typeinfo name for anamnesis::*\"; \"vtable for anamnesis::*\"; }; local: *; };\n")
file(CONFIGURE OUTPUT ${CMAKE_CURRENT_BINARY_DIR}/rooms.cpp CONTENT "" @ONLY)
add_library(anamnesis_rooms SHARED ${CMAKE_CURRENT_BINARY_DIR}/rooms.cpp ${objects})
set_target_properties(anamnesis_rooms PROPERTIES OUTPUT_NAME anamnesis INSTALL_RPATH "$ORIGIN")
# For what the rooms link; their own archives have nothing that is still undefined.
target_link_libraries(anamnesis_rooms PRIVATE
  anamnesis::checkpoint anamnesis::restore anamnesis::eval anamnesis::version)
target_link_options(anamnesis_rooms PRIVATE
  -Wl,--as-needed -Wl,-z,defs -Wl,--version-script=${CMAKE_CURRENT_BINARY_DIR}/rooms.map)
foreach(user IN ITEMS anamnesis anamnesis_python)
  # Before the archives of the rooms, which then have nothing to add.
  target_link_options(${user} BEFORE PRIVATE
    -Wl,--no-as-needed $<TARGET_FILE:anamnesis_rooms> -Wl,--as-needed -Wl,--gc-sections)
  add_dependencies(${user} anamnesis_rooms)
endforeach()

set_target_properties(anamnesis_python PROPERTIES INSTALL_RPATH "$ORIGIN/lib" BUILD_RPATH ${CMAKE_CURRENT_BINARY_DIR})
set_target_properties(anamnesis PROPERTIES INSTALL_RPATH "$ORIGIN/../lib")
install(TARGETS anamnesis_python LIBRARY DESTINATION anamnesis COMPONENT python)
install(TARGETS anamnesis_rooms LIBRARY DESTINATION anamnesis/lib COMPONENT python)
install(FILES ${package}/_core.pyi DESTINATION anamnesis COMPONENT python)
install(TARGETS anamnesis RUNTIME DESTINATION anamnesis/bin COMPONENT python)
