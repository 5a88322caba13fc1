# SPDX-License-Identifier: MIT
# Installs the headers and a relocatable package, and writes a package for the build tree (find_package with
# sbi_DIR=<build folder>). sbi::json, sbi::fits and sbi::zlib are made by the package itself from what the user's machine has.
include(CMakePackageConfigHelpers)

get_property(sbi_fetched GLOBAL PROPERTY SBI_FETCHED)
if(sbi_fetched MATCHES "Eigen3|xtensor|TBB")
  message(STATUS "sbi: fetched ${sbi_fetched}: whoever installs this build must have them installed to use it")
endif()

set(sbi_package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/sbi)
install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/sbi DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
get_property(sbi_compiled GLOBAL PROPERTY SBI_COMPILED) # sbi_compiled and sbi_cuda where they are on
install(TARGETS sbi ${sbi_compiled} EXPORT sbiTargets ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(EXPORT sbiTargets NAMESPACE sbi:: DESTINATION ${sbi_package_dir})

set(sbi_module_dir ${sbi_package_dir})
configure_package_config_file(
  ${PROJECT_SOURCE_DIR}/cmake/sbiConfig.cmake.in ${PROJECT_BINARY_DIR}/install/sbiConfig.cmake
  INSTALL_DESTINATION ${sbi_package_dir}
  PATH_VARS sbi_module_dir)
if(sbi_compiled)
  set(sbi_architecture)
else()
  set(sbi_architecture ARCH_INDEPENDENT)
endif()
write_basic_package_version_file(${PROJECT_BINARY_DIR}/sbiConfigVersion.cmake COMPATIBILITY SameMinorVersion
                                 ${sbi_architecture})
install(FILES ${PROJECT_BINARY_DIR}/install/sbiConfig.cmake ${PROJECT_BINARY_DIR}/sbiConfigVersion.cmake
              ${PROJECT_SOURCE_DIR}/cmake/FindCFITSIO.cmake DESTINATION ${sbi_package_dir})

# A build tree that had to fetch TBB cannot be consumed in place: TBB exports no package of its build folder.
if(NOT "TBB" IN_LIST sbi_fetched)
  set(sbi_module_dir ${PROJECT_SOURCE_DIR}/cmake)
  configure_package_config_file(
    ${PROJECT_SOURCE_DIR}/cmake/sbiConfig.cmake.in ${PROJECT_BINARY_DIR}/sbiConfig.cmake
    INSTALL_DESTINATION ${PROJECT_BINARY_DIR}
    INSTALL_PREFIX ${PROJECT_BINARY_DIR}
    PATH_VARS sbi_module_dir)
  export(EXPORT sbiTargets NAMESPACE sbi:: FILE ${PROJECT_BINARY_DIR}/sbiTargets.cmake)
endif()
