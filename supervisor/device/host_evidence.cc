#include "supervisor/device/host_evidence.h"

#include <fmt/format.h>

#include <filesystem>
#include <fstream>

#include "base/printable.h"

namespace bulkhead::supervisor {
namespace {

constexpr std::size_t kMaxThreads = 16, kMaxFrames = 24;

// Empty: not readable, or nothing in it.
std::string first_line(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return printable(line.substr(0, 200));
}

// "State:\tD (disk sleep)" of a status file.
std::string state_in(const std::string& path) {
  constexpr std::string_view kKey = "State:\t";
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);)
    if (line.starts_with(kKey)) return printable(line.substr(kKey.size()));
  return "unknown";
}

// A task that runs, or that we may not look at, has "0".
std::string sleeps_in(const std::string& folder) {
  const std::string where = first_line(folder + "/wchan");
  return where.empty() || where == "0" ? std::string() : ", in " + where;
}

}  // namespace

std::string host_state(pid_t pid, const std::string& proc) {
  const std::string folder = fmt::format("{}/{}", proc, pid);
  return fmt::format("state {}{}", state_in(folder + "/status"), sleeps_in(folder));
}

std::vector<std::string> host_threads(pid_t pid, const std::string& proc) {
  std::vector<std::string> lines;
  std::size_t threads = 0;
  std::error_code gone;
  const std::string tasks = fmt::format("{}/{}/task", proc, pid);
  for (std::filesystem::directory_iterator at(tasks, gone), end; !gone && at != end; at.increment(gone)) {
    if (++threads > kMaxThreads) {
      lines.push_back(fmt::format("handler-host {} has more threads", pid));
      break;
    }
    const std::string task = at->path();
    lines.push_back(fmt::format("thread {} ({}): state {}{}, system call {}", at->path().filename().string(),
                                first_line(task + "/comm"), state_in(task + "/status"), sleeps_in(task),
                                first_line(task + "/syscall")));
    std::ifstream stack(task + "/stack");
    std::size_t frames = 0;
    for (std::string frame; frames < kMaxFrames && std::getline(stack, frame); ++frames)
      lines.push_back(fmt::format("thread {}: {}", at->path().filename().string(), printable(frame)));
  }
  if (lines.empty()) lines.push_back(fmt::format("nothing of handler-host {} can be read in {}", pid, tasks));
  return lines;
}

}  // namespace bulkhead::supervisor
