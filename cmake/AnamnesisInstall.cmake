# The CMake package: one component for each room, with the rooms that it may use.
include(CMakePackageConfigHelpers)
set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/anamnesis)

get_property(anamnesis_rooms GLOBAL PROPERTY ANAMNESIS_ROOMS)
set(anamnesis_torch_rooms "")
set(anamnesis_room_settings "")
foreach(room IN LISTS anamnesis_rooms)
  get_property(uses GLOBAL PROPERTY ANAMNESIS_USES_${room})
  get_property(packages GLOBAL PROPERTY ANAMNESIS_PACKAGES_${room})
  string(APPEND anamnesis_room_settings
    "set(anamnesis_uses_${room} \"${uses}\")\nset(anamnesis_packages_${room} \"${packages}\")\n")
  get_target_property(needs_torch anamnesis_${room} ANAMNESIS_TORCH)
  set(component core)
  if(needs_torch)
    set(component runtime)
    list(APPEND anamnesis_torch_rooms ${room})
  endif()
  install(EXPORT anamnesis-${room} NAMESPACE anamnesis:: DESTINATION ${package_dir} COMPONENT ${component})
endforeach()
if(ANAMNESIS_WITH_TORCH)
  install(FILES cmake/LibTorch.cmake DESTINATION ${package_dir} COMPONENT runtime)
endif()

configure_package_config_file(cmake/anamnesisConfig.cmake.in anamnesisConfig.cmake
  INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(anamnesisConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/anamnesisConfig.cmake
  ${CMAKE_CURRENT_BINARY_DIR}/anamnesisConfigVersion.cmake
  DESTINATION ${package_dir} COMPONENT core)
