# SPDX-License-Identifier: MIT
# Prints one value of a JSON file.
file(READ ${FILE} text)
string(JSON value ERROR_VARIABLE error GET "${text}" ${KEYS})
if(error OR value STREQUAL "")
  message(FATAL_ERROR "${FILE}: ${KEYS}: ${error}")
endif()
message("${value}")
