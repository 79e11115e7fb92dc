# The commit in version.cpp: unknown without git, the repository's own with it, marked where the tree
# has changes, and the file untouched where nothing is new.
#   cmake -DSOURCE=… -DSCRATCH=… -P check_version.cmake
file(REMOVE_RECURSE ${SCRATCH})
file(MAKE_DIRECTORY ${SCRATCH}/repository/inner)
set(output ${SCRATCH}/version.cpp)

function(expect_commit folder pattern)
  execute_process(COMMAND ${CMAKE_COMMAND} -DSOURCE=${folder} -DOUTPUT=${output} -DVERSION=1.2.3 ${ARGN}
    -P ${SOURCE}/cmake/WriteVersion.cmake COMMAND_ERROR_IS_FATAL ANY)
  file(READ ${output} text)
  if(NOT text MATCHES "return \"1\\.2\\.3\";" OR NOT text MATCHES "return \"${pattern}\";")
    message(FATAL_ERROR "expected commit ${pattern} in:\n${text}")
  endif()
endfunction()

function(git)
  execute_process(COMMAND git -C ${SCRATCH}/repository -c user.name=test -c user.email=test@example.invalid
    -c commit.gpgsign=false -c core.hooksPath=/dev/null ${ARGN} OUTPUT_QUIET COMMAND_ERROR_IS_FATAL ANY)
endfunction()

# Git must not find the repository that this build is in.
get_filename_component(above ${SCRATCH} DIRECTORY)
set(ENV{GIT_CEILING_DIRECTORIES} ${above})
set(hash "[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]")
expect_commit(${SCRATCH} unknown)
expect_commit(${SCRATCH} stated -DCOMMIT=stated)
file(WRITE ${SCRATCH}/repository/file "one")
git(init --quiet)
expect_commit(${SCRATCH}/repository unknown)
git(add file)
git(commit --quiet -m first)
expect_commit(${SCRATCH}/repository ${hash})
expect_commit(${SCRATCH}/repository/inner unknown)
file(WRITE ${SCRATCH}/repository/file "two")
expect_commit(${SCRATCH}/repository ${hash}-dirty)
file(TIMESTAMP ${output} before "%s")
execute_process(COMMAND ${CMAKE_COMMAND} -E sleep 1.1)
expect_commit(${SCRATCH}/repository ${hash}-dirty)
file(TIMESTAMP ${output} after "%s")
if(NOT before STREQUAL after)
  message(FATAL_ERROR "version.cpp was written again although nothing changed")
endif()
file(REMOVE_RECURSE ${SCRATCH})
