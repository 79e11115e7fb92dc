# LibTorch lives in a Python environment: the wheel `torch` holds headers, libraries and its own
# package file. The first python3 on the PATH that has it is asked; Torch_DIR overrides.
#
# Gives the target torch, TORCH_LIBRARY, and for a CUDA build anamnesis_torch_is_cuda and, where
# NCCL's header is found, the target anamnesis_nccl.
if(NOT Torch_DIR)
  execute_process(
    COMMAND python3 -c "import torch; print(torch.utils.cmake_prefix_path)"
    OUTPUT_VARIABLE torch_prefix OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
  if(NOT torch_prefix)
    message(FATAL_ERROR "no python3 with torch on the PATH: run tools/bootstrap.sh --full and configure with the preset full")
  endif()
  # Kept, so that a build which configures again needs no such python3 on its PATH.
  set(Torch_DIR ${torch_prefix}/Torch CACHE PATH "The folder of LibTorch's package file")
endif()
get_filename_component(torch_root ${Torch_DIR}/../../.. ABSOLUTE)
set(anamnesis_torch_is_cuda FALSE)
if(EXISTS ${torch_root}/lib/libtorch_cuda.so)
  set(anamnesis_torch_is_cuda TRUE)
endif()

if(NOT anamnesis_torch_is_cuda)
  find_package(Torch 2.11 REQUIRED)
elseif(NOT TARGET torch)
  # Its package file wants the whole CUDA toolkit, nvcc too, and nothing here is compiled by that.
  set(TORCH_LIBRARY ${torch_root}/lib/libtorch.so)
  add_library(torch INTERFACE IMPORTED GLOBAL)
  target_include_directories(torch SYSTEM INTERFACE
    ${torch_root}/include ${torch_root}/include/torch/csrc/api/include)
  # libtorch_cuda registers its kernels when it is loaded, and no symbol of it is named. libtorch.so
  # exports a part of the C++ library (std::filesystem in 2.11) that calls through null: the real one
  # must be found first.
  target_link_libraries(torch INTERFACE -Wl,--no-as-needed stdc++
    ${TORCH_LIBRARY} ${torch_root}/lib/libtorch_cpu.so ${torch_root}/lib/libtorch_cuda.so
    ${torch_root}/lib/libc10.so ${torch_root}/lib/libc10_cuda.so -Wl,--as-needed)
endif()

# First of all libraries: LibTorch calls sgemm_ and its kin by name, some of them from each of its own
# threads, and of the BLAS of the program, were it found before, each of these calls would start threads
# again (attention took 4.7 times as long). Before it the C++ library, of which LibTorch may export a part.
set(anamnesis_torch_first
  "SHELL:-Wl,--no-as-needed -lstdc++ ${torch_root}/lib/libtorch_cpu.so -Wl,--as-needed")
get_target_property(torch_link_options torch INTERFACE_LINK_OPTIONS)
if(NOT anamnesis_torch_first IN_LIST torch_link_options)
  set_property(TARGET torch APPEND PROPERTY INTERFACE_LINK_OPTIONS ${anamnesis_torch_first})
endif()

if(anamnesis_torch_is_cuda)
  # The wheel's companions: nvidia/nccl, and CUDA's own headers beside it.
  get_filename_component(nvidia_root ${torch_root}/../nvidia ABSOLUTE)
  file(GLOB cuda_roots LIST_DIRECTORIES TRUE ${nvidia_root}/cu[0-9]* ${nvidia_root}/cuda_runtime)
  find_path(ANAMNESIS_NCCL_INCLUDE nccl.h HINTS ${nvidia_root}/nccl/include)
  find_library(ANAMNESIS_NCCL_LIBRARY NAMES nccl libnccl.so.2 HINTS ${nvidia_root}/nccl/lib)
  list(TRANSFORM cuda_roots APPEND /include OUTPUT_VARIABLE cuda_includes)
  # The wheel's headers of the runtime include some of the compiler's, which it lacks: a toolkit has
  # both, and so have the wheels nvidia-cuda-crt and nvidia-cuda-cccl.
  find_path(ANAMNESIS_CUDA_INCLUDE crt/host_defines.h
    HINTS ${cuda_includes} PATHS /usr/local/cuda/include)
  if(ANAMNESIS_NCCL_INCLUDE AND ANAMNESIS_NCCL_LIBRARY AND ANAMNESIS_CUDA_INCLUDE AND NOT TARGET anamnesis_nccl)
    add_library(anamnesis_nccl INTERFACE IMPORTED GLOBAL)
    target_include_directories(anamnesis_nccl SYSTEM INTERFACE
      ${ANAMNESIS_NCCL_INCLUDE} ${ANAMNESIS_CUDA_INCLUDE})
    target_link_libraries(anamnesis_nccl INTERFACE ${ANAMNESIS_NCCL_LIBRARY})
  endif()
endif()
