# SPDX-License-Identifier: MIT
# The compiled target sbi::compiled: the same headers, the common models compiled once. It is built with the flags of
# the build it is part of, since the instruction set of a program and of this library must be the same (see
# sbi/compiled.hpp); no flag of ours is put on it but those of our own build.
if(NOT sbi_has_json)
  message(FATAL_ERROR "sbi: SBI_COMPILED needs nlohmann-json, for files of models; it was not found")
endif()
file(GLOB sbi_compiled_sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/compiled/*.cpp)
add_library(sbi_compiled STATIC ${sbi_compiled_sources})
add_library(sbi::compiled ALIAS sbi_compiled)
set_target_properties(sbi_compiled PROPERTIES EXPORT_NAME compiled POSITION_INDEPENDENT_CODE ON)
target_compile_definitions(sbi_compiled PUBLIC SBI_COMPILED)
target_link_libraries(sbi_compiled PUBLIC sbi)
# Its headers only: as a library it would be part of what is exported.
target_include_directories(
  sbi_compiled SYSTEM PRIVATE $<TARGET_PROPERTY:nlohmann_json::nlohmann_json,INTERFACE_INCLUDE_DIRECTORIES>)
if(SBI_NATIVE)
  target_compile_options(sbi_compiled PRIVATE -march=native)
endif()
set_property(GLOBAL APPEND PROPERTY SBI_COMPILED sbi_compiled)
