include(CMakePackageConfigHelpers)
set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/anamnesis)
install(EXPORT anamnesis-core NAMESPACE anamnesis:: DESTINATION ${package_dir} COMPONENT core)
if(ANAMNESIS_WITH_TORCH)
  install(EXPORT anamnesis-runtime NAMESPACE anamnesis:: DESTINATION ${package_dir} COMPONENT runtime)
  install(FILES cmake/LibTorch.cmake DESTINATION ${package_dir} COMPONENT runtime)
endif()
configure_package_config_file(cmake/anamnesisConfig.cmake.in anamnesisConfig.cmake
  INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(anamnesisConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/anamnesisConfig.cmake
  ${CMAKE_CURRENT_BINARY_DIR}/anamnesisConfigVersion.cmake
  DESTINATION ${package_dir} COMPONENT core)
