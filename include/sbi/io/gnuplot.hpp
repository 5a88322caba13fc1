// SPDX-License-Identifier: MIT
#pragma once
#include <sbi/io/files.hpp>

#include <cerrno>
#include <cstddef>
#include <fcntl.h>
#include <filesystem>
#include <spawn.h>
#include <string>
#include <sys/wait.h>
#include <system_error>
#include <unistd.h>

namespace sbi::io {

namespace detail {
/// What a child process printed, and how it ended.
struct Finished {
  bool found = false;
  int status = 0;
  std::string output;
};

inline Finished run_in_folder(const std::filesystem::path& folder, const char* program,
                              const char* argument) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0)
    throw Error(text(program, ": no pipe: ", std::generic_category().message(errno)));
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_addchdir_np(&actions, folder.empty() ? "." : folder.c_str());
  ::posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  ::posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
  ::posix_spawn_file_actions_adddup2(&actions, ends[1], STDERR_FILENO);
  std::string name(program), what(argument);
  char* arguments[] = {name.data(), what.data(), nullptr};
  pid_t child = 0;
  const int error = ::posix_spawnp(&child, program, &actions, nullptr, arguments, environ);
  ::posix_spawn_file_actions_destroy(&actions);
  ::close(ends[1]);

  Finished out;
  if (error == 0) {
    char block[4096];
    for (;;) {
      const auto n = ::read(ends[0], block, sizeof block);
      if (n > 0)
        out.output.append(block, static_cast<std::size_t>(n));
      else if (n == 0 || errno != EINTR)
        break;
    }
    while (::waitpid(child, &out.status, 0) < 0 && errno == EINTR) {
    }
  }
  ::close(ends[0]);
  if (error != 0 && error != ENOENT && error != EACCES)
    throw Error(text(program, ": cannot be started: ", std::generic_category().message(error)));
  out.found = error == 0;
  return out;
}
} // namespace detail

/// Runs gnuplot on a script, in the script's folder. False when gnuplot is not installed; throws FileError
/// with gnuplot's words when it refuses the script.
inline bool run_gnuplot(const std::filesystem::path& script) {
  const auto done = detail::run_in_folder(script.parent_path(), "gnuplot", script.filename().c_str());
  if (!done.found) return false;
  if (!WIFEXITED(done.status) || WEXITSTATUS(done.status) != 0)
    throw FileError(text(script.string(), ": gnuplot failed: ", done.output));
  return true;
}

} // namespace sbi::io
