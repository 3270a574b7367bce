// The supervisor's side of Bulkhead without kernel, D-Bus and journal keeper: the real pumps, the real
// channels, real handler-host processes.
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <cerrno>
#include <chrono>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/doorbell.h"
#include "base/processors.h"
#include "bench/path/daemon.h"
#include "bench/path/served_lun.h"
#include "supervisor/pump/guarded_copy.h"
#include "supervisor/pump/pump.h"
#include "supervisor/ring/testing/fake_kernel.h"

namespace bulkhead::bench {
namespace {

using supervisor::Pump;
using supervisor::testing::FakeKernel;

Result<std::vector<std::unique_ptr<Pump>>> start_pumps() {
  std::vector<std::unique_ptr<Pump>> pumps;
  for (unsigned i = 0; i < usable_processors(); ++i) {
    auto pump = Pump::start(i);
    if (!pump) return std::unexpected(std::move(pump.error()));
    pumps.push_back(std::move(*pump));
  }
  return pumps;
}

// A LUN that nobody uses: its kernel is in this process and never says anything.
struct IdleLun {
  FakeKernel kernel;
  std::array<UniqueFd, 2> events = make_doorbell_pipe().value();
};

}  // namespace

Result<> serve_by_bulkhead(const DaemonEnds& ends) {
  supervisor::install_bus_error_guard();
  boost::asio::io_context io;
  auto pumps = start_pumps();
  if (!pumps) return std::unexpected(std::move(pumps.error()));
  auto region = Mapping::map(ends.kernel.region(), ends.kernel.region_bytes(), Mapping::Access::ReadWrite,
                             "simulated region");
  if (!region) return std::unexpected(std::move(region.error()));
  std::vector<pid_t> hosts;
  std::vector<std::unique_ptr<IdleLun>> kernels;
  std::vector<std::unique_ptr<ServedLun>> luns;  // before the pumps end
  auto serve = [&](LunParts parts, std::size_t pump) -> Result<> {
    auto lun = ServedLun::serve(io, *(*pumps)[pump % pumps->size()], std::move(parts));
    if (!lun) return std::unexpected(std::move(lun.error()));
    hosts.push_back((*lun)->host());
    luns.push_back(std::move(*lun));
    return {};
  };

  const Job& job = ends.job;
  LunParts busy{.region = region->bytes(),
                .uio = &ends.kernel.uio(),
                .kick =
                    [fd = ends.kernel.kick().get()] {
                      const std::uint64_t one = 1;
                      [[maybe_unused]] const ssize_t kicked = ::write(fd, &one, sizeof one);
                    },
                .host_program = job.host_program,
                .library = job.handler_folder + "/file/handler_file.so",
                .host_uid = job.host_uid,
                .subtype = "file",
                .config = job.file + "?" + job.options,
                .bytes = job.file_bytes,
                .busy_poll = job.busy_poll,
                .grants = job.grants};
  if (auto served = serve(std::move(busy), 0); !served) return served;
  for (unsigned i = 0; i < job.idle_luns; ++i) {
    kernels.push_back(std::make_unique<IdleLun>());
    LunParts idle{.region = kernels.back()->kernel.region(),
                  .uio = &kernels.back()->events[0],
                  .kick = [] {},
                  .host_program = job.host_program,
                  .library = job.handler_folder + "/null/handler_null.so",
                  .host_uid = job.host_uid == 0 ? 0 : job.host_uid + i + 1,
                  .subtype = "null",
                  .config = "",
                  .bytes = 1 << 20};
    if (auto served = serve(std::move(idle), i + 1); !served) return served;
  }
  ends.ready(hosts);
  // From here on the control thread does what it does in service: wait.
  boost::asio::posix::stream_descriptor stop(io, ::fcntl(ends.stop, F_DUPFD_CLOEXEC, 0));
  stop.async_wait(boost::asio::posix::stream_descriptor::wait_read,
                  [&io](boost::system::error_code) { io.stop(); });
  io.restart();
  io.run();
  luns.clear();
  return {};
}

}  // namespace bulkhead::bench
