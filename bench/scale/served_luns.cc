#include "bench/scale/served_luns.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <cerrno>

#include "base/processors.h"
#include "supervisor/pump/guarded_copy.h"

namespace bulkhead::bench {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::seconds kGrantDeadline{10};

double seconds_since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

// With data in all of it: what was never written would cost no read.
Result<> make_file(const std::string& path, std::uint64_t bytes) {
  const UniqueFd file(::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
  if (!file) return fail_errno(errno, fmt::format("make {}", path));
  const std::vector<std::byte> piece(1 << 20, std::byte{0xa5});
  for (std::uint64_t at = 0; at < bytes; at += piece.size()) {
    const std::uint64_t size = std::min<std::uint64_t>(piece.size(), bytes - at);
    if (::pwrite(file.get(), piece.data(), size, static_cast<off_t>(at)) != static_cast<ssize_t>(size))
      return fail_errno(errno, fmt::format("fill {}", path));
  }
  if (::fchmod(file.get(), 0666) != 0 || ::fdatasync(file.get()) != 0)
    return fail_errno(errno, fmt::format("fill {}", path));
  return {};
}

}  // namespace

Result<std::unique_ptr<ServedLuns>> ServedLuns::start(const LunsWanted& wanted) {
  supervisor::install_bus_error_guard();
  std::unique_ptr<ServedLuns> all(new ServedLuns);
  if (auto started = all->start_pumps(wanted.pumps); !started)
    return std::unexpected(std::move(started.error()));
  for (unsigned i = 0; i < wanted.count; ++i) {
    all->files_.push_back(fmt::format("{}/lun-{}-{}.raw", wanted.folder, ::getpid(), i));
    if (auto made = make_file(all->files_.back(), wanted.bytes); !made)
      return std::unexpected(std::move(made.error()));
    all->kernels_.push_back(std::make_unique<SimulatedLun>(wanted.depth, wanted.bytes));
  }
  all->luns_.resize(wanted.count);
  std::optional<Error> failed;
  const auto begin = Clock::now();
  supervisor::StartGate starts(all->io_, wanted.at_once);
  for (std::size_t i = 0; i < wanted.count; ++i)
    boost::asio::co_spawn(all->io_, all->start_one(i, wanted, starts, failed), boost::asio::detached);
  auto pending = [&] { return std::ranges::any_of(all->luns_, [](const auto& lun) { return !lun; }); };
  while (!failed && pending()) all->io_.run_one();
  if (failed) return std::unexpected(std::move(*failed));
  all->start_seconds_ = seconds_since(begin);
  auto awaiting = [&] {
    return std::ranges::any_of(all->luns_, [](const auto& lun) { return lun->awaits_grant(); });
  };
  const auto deadline = Clock::now() + kGrantDeadline;
  while (awaiting() && Clock::now() < deadline) all->io_.run_one_for(std::chrono::milliseconds(100));
  if (awaiting()) return fail(Cause::TimedOut, ETIMEDOUT, "a handler-host offers no I/O grant");
  return all;
}

boost::asio::awaitable<void> ServedLuns::start_one(std::size_t index, const LunsWanted& wanted,
                                                   supervisor::StartGate& starts,
                                                   std::optional<Error>& failed) {
  SimulatedLun& kernel = *kernels_[index];
  LunParts parts{.region = kernel.region(),
                 .uio = &kernel.uio(),
                 .kick = [&kernel] { kernel.kick(); },
                 .host_program = wanted.host_program,
                 .library = wanted.library,
                 .host_uid = wanted.host_uid == 0 ? 0 : wanted.host_uid + static_cast<std::uint32_t>(index),
                 .subtype = "file",
                 .config = files_[index],
                 .bytes = wanted.bytes,
                 .grants = wanted.grants,
                 .starts = &starts};
  const auto begin = Clock::now();
  auto starting = ServedLun::start(io_, *pumps_[index % pumps_.size()], std::move(parts));
  auto lun = co_await std::move(starting);
  longest_start_seconds_ = std::max(longest_start_seconds_, seconds_since(begin));
  if (lun)
    luns_[index] = std::move(*lun);
  else if (!failed)
    failed = std::move(lun.error());
}

Result<> ServedLuns::start_pumps(unsigned count) {
  if (count == 0) count = usable_processors();
  for (unsigned i = 0; i < count; ++i) {
    auto pump = supervisor::Pump::start(i);
    if (!pump) return std::unexpected(std::move(pump.error()));
    pumps_.push_back(std::move(*pump));
  }
  return {};
}

void ServedLuns::wait(std::chrono::milliseconds time) {
  io_.restart();
  io_.run_for(time);
}

ServedLuns::~ServedLuns() {
  luns_.clear();
  for (const std::string& file : files_) ::unlink(file.c_str());
}

std::vector<pid_t> ServedLuns::hosts() const {
  std::vector<pid_t> pids;
  pids.reserve(luns_.size());
  for (const auto& lun : luns_) pids.push_back(lun->host());
  return pids;
}

}  // namespace bulkhead::bench
