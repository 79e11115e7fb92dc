# LibTorch lives in a Python environment: the wheel `torch` holds headers, libraries and its own
# package file. The first python3 on the PATH that has it is asked; Torch_DIR overrides.
if(NOT Torch_DIR)
  execute_process(
    COMMAND python3 -c "import torch; print(torch.utils.cmake_prefix_path)"
    OUTPUT_VARIABLE torch_prefix OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
  if(NOT torch_prefix)
    message(FATAL_ERROR "no python3 with torch on the PATH: run tools/bootstrap.sh --full and configure with the preset full")
  endif()
  list(APPEND CMAKE_PREFIX_PATH ${torch_prefix})
endif()
find_package(Torch 2.11 REQUIRED)
