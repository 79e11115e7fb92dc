# Applied to every target of the project, never to what it links.
add_library(anamnesis_warnings INTERFACE)
target_compile_options(anamnesis_warnings INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wnon-virtual-dtor -Wold-style-cast
  $<$<BOOL:${ANAMNESIS_WERROR}>:-Werror>)
