# SPDX-License-Identifier: MIT
# What every test, example and benchmark of ours is compiled with. None of it reaches a target that users link.
add_library(sbi_program INTERFACE)
target_link_libraries(sbi_program INTERFACE sbi)
foreach(part IN LISTS sbi_parts)
  if(TARGET sbi_${part})
    target_link_libraries(sbi_program INTERFACE sbi_${part})
  endif()
endforeach()
target_compile_definitions(sbi_program INTERFACE SBI_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
target_compile_options(sbi_program INTERFACE -Wall -Wextra -Wpedantic -Wshadow -Wconversion)
# Tests use vectors wider than the registers of a portable build; how calls pass them matters inside one program only.
target_compile_options(sbi_program INTERFACE -Wno-psabi)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # GCC 12 warns about its own code at -O2 and -O3: uninitialised reads inside the AVX-512 intrinsics (GCC bug 105593),
  # copies of short strings (105329, 105651) and comparisons of vectors of bytes. Clang and the sanitizers look for the
  # real ones.
  target_compile_options(sbi_program INTERFACE -Wno-uninitialized -Wno-maybe-uninitialized -Wno-array-bounds
                                               -Wno-restrict -Wno-stringop-overflow -Wno-stringop-overread)
endif()
if(SBI_WARNINGS_AS_ERRORS)
  target_compile_options(sbi_program INTERFACE -Werror)
endif()
if(SBI_NATIVE)
  # Tests are built at -O2, which takes a quarter less time.
  target_compile_options(sbi_program INTERFACE -march=native -fno-math-errno
                                               $<$<CONFIG:Release>:-O$<IF:$<BOOL:$<TARGET_PROPERTY:SBI_TEST>>,2,3>>)
endif()

# sbi_missing_part(<variable> <file>): the optional library that a source needs, through whatever headers of ours, and
# that is not here; empty when it can be built.
function(sbi_missing_part variable file)
  string(MAKE_C_IDENTIFIER ${file} id)
  get_property(known GLOBAL PROPERTY sbi_missing_${id} SET)
  if(NOT known)
    set_property(GLOBAL PROPERTY sbi_missing_${id} "") # ends a circle of includes
    set(missing "")
    file(STRINGS ${file} lines REGEX "^#include <(sbi/|fitsio\\.h|zlib\\.h|nlohmann/)")
    foreach(line IN LISTS lines)
      if(line MATCHES "<fitsio" AND NOT TARGET sbi_fits)
        set(missing CFITSIO)
      elseif(line MATCHES "<zlib" AND NOT TARGET sbi_zlib)
        set(missing zlib)
      elseif(line MATCHES "<nlohmann" AND NOT TARGET sbi_json)
        set(missing nlohmann-json)
      elseif(line MATCHES "<(sbi/[^>]*)>" AND EXISTS ${PROJECT_SOURCE_DIR}/include/${CMAKE_MATCH_1})
        sbi_missing_part(missing ${PROJECT_SOURCE_DIR}/include/${CMAKE_MATCH_1})
      endif()
      if(missing)
        break()
      endif()
    endforeach()
    set_property(GLOBAL PROPERTY sbi_missing_${id} "${missing}")
  endif()
  get_property(missing GLOBAL PROPERTY sbi_missing_${id})
  set(${variable} "${missing}" PARENT_SCOPE)
endfunction()

# sbi_sources(<variable> <glob>): the files that can be built here; a file that appears later is noticed.
function(sbi_sources variable pattern)
  file(GLOB files CONFIGURE_DEPENDS ${pattern})
  set(kept)
  foreach(file IN LISTS files)
    sbi_missing_part(missing ${file})
    if(missing)
      message(STATUS "sbi: ${file} is left out: it needs ${missing}")
    else()
      list(APPEND kept ${file})
    endif()
  endforeach()
  set(${variable} ${kept} PARENT_SCOPE)
endfunction()
