# Puts files into a library as they are: anamnesis_embed_files(target name file…) makes
# `std::string_view anamnesis::embedded::<stem>()` for each, declared in "<name>.hpp".
function(anamnesis_embed_files target name)
  set(folder ${CMAKE_CURRENT_BINARY_DIR}/embedded)
  set(header "#pragma once\n\n#include <string_view>\n\nnamespace anamnesis::embedded {\n")
  set(source "#include \"${name}.hpp\"\n\n")
  set(functions "")
  foreach(file IN LISTS ARGN)
    get_filename_component(stem ${file} NAME_WE)
    string(APPEND header "std::string_view ${stem}();\n")
    # The assembler reads the file: a C++ array of half a megabyte costs seconds to compile.
    string(APPEND source
      "asm(\".pushsection .rodata\\n.global anamnesis_embedded_${stem}\\n\"\n"
      "    \"anamnesis_embedded_${stem}:\\n.incbin \\\"${file}\\\"\\n\"\n"
      "    \".global anamnesis_embedded_${stem}_end\\nanamnesis_embedded_${stem}_end:\\n.byte 0\\n.popsection\\n\");\n"
      "extern \"C\" const char anamnesis_embedded_${stem};\n"
      "extern \"C\" const char anamnesis_embedded_${stem}_end;\n")
    string(APPEND functions
      "std::string_view ${stem}() {\n"
      "    return {&anamnesis_embedded_${stem}, &anamnesis_embedded_${stem}_end};\n}\n")
  endforeach()
  string(APPEND header "}  // namespace anamnesis::embedded\n")
  string(APPEND source "\nnamespace anamnesis::embedded {\n${functions}}  // namespace anamnesis::embedded\n")
  file(CONFIGURE OUTPUT ${folder}/${name}.hpp CONTENT "${header}" @ONLY)
  file(CONFIGURE OUTPUT ${folder}/${name}.cpp CONTENT "${source}" @ONLY)
  # The symbols are defined where link-time optimisation does not look.
  set_source_files_properties(${folder}/${name}.cpp PROPERTIES
    OBJECT_DEPENDS "${ARGN}" COMPILE_OPTIONS -fno-lto)
  target_sources(${target} PRIVATE ${folder}/${name}.cpp)
  target_include_directories(${target} PRIVATE ${folder})
endfunction()
