# Writes version.cpp, and leaves a file that already says the same alone.
#   cmake -DSOURCE=… -DOUTPUT=… -DVERSION=… [-DCOMMIT=…] -P WriteVersion.cmake
if("${COMMIT}" STREQUAL "")
  set(COMMIT unknown)
  find_program(GIT_PROGRAM git)
  if(GIT_PROGRAM)
    # An archive unpacked inside another repository must not report that repository's commit.
    execute_process(COMMAND ${GIT_PROGRAM} -C ${SOURCE} rev-parse --show-cdup
      RESULT_VARIABLE failed OUTPUT_VARIABLE way_up OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
    if(NOT failed AND way_up STREQUAL "")
      execute_process(COMMAND ${GIT_PROGRAM} -C ${SOURCE} describe --always --exclude=* --dirty --abbrev=12
        RESULT_VARIABLE failed OUTPUT_VARIABLE described OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
      if(NOT failed)
        set(COMMIT ${described})
      endif()
    endif()
  endif()
endif()
file(CONFIGURE OUTPUT ${OUTPUT} @ONLY CONTENT [[
#include "anamnesis/base/version.hpp"

namespace anamnesis {

std::string_view version() noexcept {
    return "@VERSION@";
}

std::string_view commit() noexcept {
    return "@COMMIT@";
}

}  // namespace anamnesis
]])
