# What the wheel of the models holds: the program that runs them, and a BLAS. LibTorch is that of the
# package torch, which pip puts beside this one.
set_target_properties(anamnesis-torch PROPERTIES
  INSTALL_RPATH_USE_LINK_PATH OFF INSTALL_RPATH "$ORIGIN/../lib;$ORIGIN/../../torch/lib")
# libtorch.so of a CUDA build loads the CUDA kernels, of which the program names no symbol. The C++
# library comes first, because libtorch.so of 2.11 exports a part of it that does not work.
target_link_options(anamnesis-torch BEFORE PRIVATE
  -Wl,--no-as-needed -lstdc++ ${TORCH_LIBRARY} -Wl,--as-needed)
install(TARGETS anamnesis-torch RUNTIME DESTINATION anamnesis_models/bin COMPONENT models)
if(TARGET anamnesis_blas)
  install(TARGETS anamnesis_blas LIBRARY DESTINATION anamnesis_models/lib COMPONENT models)
endif()
