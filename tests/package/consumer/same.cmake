# SPDX-License-Identifier: MIT
execute_process(COMMAND ${A} OUTPUT_VARIABLE a RESULT_VARIABLE failed_a)
execute_process(COMMAND ${B} OUTPUT_VARIABLE b RESULT_VARIABLE failed_b)
if(failed_a OR failed_b OR NOT a STREQUAL b OR a STREQUAL "")
  message(FATAL_ERROR "${A} (${failed_a}):\n${a}\n${B} (${failed_b}):\n${b}")
endif()
