// What a handler implements: the contract between a handler-host and a backstore type, version kApiVersion.
//
// A handler is a shared object that exports bulkhead_handler_module(). It is loaded only into a handler-host,
// a process that serves exactly one device, so a handler needs no thought for other devices, and may crash.
//
// Threads: the host has one loop thread. Every call into the handler is made on it; Io::done(),
// Services::watch() and Services::count() must be called on it too; a handler with threads of its own comes
// back by Services::post(). Calls must not block on the back end, except open(), check(), resize(), close()
// and the destructor. Io::done() may be called before the call that started the operation returns. Memory:
// buffers given to read() and write() stay valid until done(). Nothing is allocated on the data path by the
// host; a handler should not either. Order: the host starts no write, discard or zeroing that overlaps one
// that is still under way, so a handler needs no ordering of its own. Offsets and lengths are multiples of
// the block size and lie within the device, always. Errors: a block operation ends with an IoStatus; what the
// host makes of it for SCSI is its business.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/quantity.h"
#include "base/unique_fd.h"

namespace bulkhead::handler {

inline constexpr std::uint32_t kApiVersion = 6;

enum class IoStatus : std::uint8_t {
  Ok,
  ReadError,       // the medium could not be read: MEDIUM ERROR / UNRECOVERED READ ERROR
  WriteError,      // the medium could not be written: MEDIUM ERROR / WRITE ERROR
  NoSpace,         // no room behind a thin device: DATA PROTECT / SPACE ALLOCATION FAILED
  BeyondEnd,       // the back end is shorter than the device now: MEDIUM ERROR, and the host logs it
  WriteProtected,  // DATA PROTECT / WRITE PROTECTED
  Busy,            // try again: BUSY
  NotSupported,    // the handler can't do this at all
};

// One operation under way. Made by the host; the handler calls done() exactly once.
class Io {
 public:
  virtual void done(IoStatus status) noexcept = 0;

 protected:
  ~Io() = default;
};

enum class Durability : std::uint8_t {
  Cached,   // may be lost with the power until flush()
  Durable,  // on stable storage before done() (FUA, or write cache switched off)
};

// What the device is. Read once after open() and again after resize().
struct Geometry {
  ByteCount size;                          // what the back end holds now; at least what was asked for
  std::uint32_t physical_block_bytes = 0;  // 0: same as the logical block
  bool read_only = false;
  bool solid_state = false;  // known to be
  bool write_cache = true;   // false: every write is durable anyway
  bool can_discard = false;
  bool discard_zeroes = false;  // discarded blocks read as zeroes (LBPRZ)
  std::uint32_t discard_granularity_bytes = 0;
  std::uint64_t max_discard_bytes = 0;  // 0: no limit
  std::uint32_t optimal_transfer_bytes = 0;
  // What one write() changes wholly or not at all when the power fails, if it is this long and at a multiple
  // of it; a power of two. 0: not known.
  std::uint32_t atomic_write_bytes = 0;
  bool tells_space = false;  // space() can tell
  // Where the first whole granule begins; below discard_granularity_bytes.
  std::uint32_t discard_alignment_bytes = 0;
};

enum class Provisioning : std::uint8_t {
  Mapped,       // holds data, or may; also where it is not known
  Deallocated,  // holds none, and takes no space
};

// A range whose blocks all have one provisioning.
struct Run {
  Provisioning provisioning = Provisioning::Mapped;
  ByteCount length{};
};

struct Space {
  ByteCount used{};       // by this device
  ByteCount available{};  // what the back end can still give it; perhaps to others first
};

// The LUN's blocks lie in the file that was opened last for writing, one behind the other, and whoever reads
// or writes them there through the page cache does what read() and a cached write() would. Then commands that
// find their data there may be done without asking the device, which must reckon with writes that it has not
// seen.
struct IoGrant {
  ByteOffset first;               // of block 0, in the file
  bool direct = false;            // past the page cache (O_DIRECT) instead, and only reading
  bool nothing_to_flush = false;  // flush() would do nothing, and can't fail: it need not be called
};

class Device {
 public:
  virtual ~Device() = default;

  [[nodiscard]] virtual Geometry geometry() const = 0;

  virtual void read(ByteOffset from, std::span<std::byte> into, Io& io) = 0;
  virtual void write(ByteOffset to, std::span<const std::byte> from, Durability durability, Io& io) = 0;
  // Everything answered before this call is on stable storage at done(). A failed flush means that unflushed
  // writes may be lost: it is reported to whoever asked, as HARDWARE ERROR / WRITE ERROR, and not tried
  // again. Busy: nothing was tried, nothing is lost. NotSupported: there is nothing to flush; SYNCHRONIZE
  // CACHE is refused then.
  virtual void flush(Io& io) = 0;
  // The content of the range is no longer needed. Reads as zeroes afterwards if geometry().discard_zeroes.
  virtual void discard(ByteOffset at, ByteCount length, Io& io) = 0;
  // The range reads as zeroes afterwards; NotSupported makes the host write zeroes itself.
  virtual void write_zeroes(ByteOffset at, ByteCount length, Durability durability, Io& io) = 0;

  // The administrator changed the LUN's size. An error leaves everything as it was.
  [[nodiscard]] virtual Result<> resize(ByteCount size) = 0;
  // Called once, with no operation under way; the destructor follows. Flushes.
  [[nodiscard]] virtual Result<> close() = 0;

  // The run of blocks that starts at `from`, no longer than `length`, into `run`, which stays valid until
  // done(). A block of which any part is mapped is. A run may end before the provisioning changes, but is a
  // multiple of the block size and not empty. What was written or discarded before this call is seen, flushed
  // or not. Without an own implementation: all of it is mapped. NotSupported means the same.
  virtual void provisioning(ByteOffset from, ByteCount length, Run& run, Io& io) {
    static_cast<void>(from);
    run = {Provisioning::Mapped, length};
    io.done(IoStatus::Ok);
  }
  // How much room there is, into `space`, which stays valid until done(). Asked for rarely, never on the data
  // path. Initiators are warned of too little if geometry().tells_space.
  virtual void space(Space& space, Io& io) {
    static_cast<void>(space);
    io.done(IoStatus::NotSupported);
  }
  // Writes that were answered are lost, and no flush() has failed for it yet: the next one would. The host
  // hands it on to the next host, should it come to that. Asked for with every round of answers.
  [[nodiscard]] virtual bool lost_writes() const { return false; }
  // Asked for after open() and resize(). nullopt: every command comes here.
  [[nodiscard]] virtual std::optional<IoGrant> io_grant() const { return std::nullopt; }
};

enum class LogLevel : std::uint8_t { Error = 3, Warning = 4, Info = 6, Debug = 7 };  // syslog severities

struct FileRequest {
  std::string path;
  bool writable = false;
  std::uint64_t create_bytes = 0;  // above 0: create it with this size if it is not there
};

// What the host does for a handler. Lives as long as the device.
class Services {
 public:
  // Asks the supervisor for a file that this device's config string names. Blocks, with a deadline; only
  // within open(), check() and resize(). The fd has O_CLOEXEC and no O_DIRECT. An error's text is fit to be
  // shown.
  [[nodiscard]] virtual Result<UniqueFd> open_file(const FileRequest& request) = 0;
  // Calls `ready` on the loop thread whenever `fd` has one of `events` (EPOLLIN, ...; level-triggered).
  virtual void watch(int fd, std::uint32_t events, std::move_only_function<void()> ready) = 0;
  virtual void unwatch(int fd) = 0;
  // Runs `work` on the loop thread soon: after the commands that came together have all been started, so a
  // handler that posts once can hand them to its back end in one go. The one call allowed from any thread.
  // What has not run when the device is destroyed, here and for after(), never does.
  virtual void post(std::move_only_function<void()> work) = 0;
  // Runs `work` on the loop thread once, not earlier than after `delay_ms`.
  virtual void after(std::uint32_t delay_ms, std::move_only_function<void()> work) = 0;
  // A line for the journal, with the device's name put to it. Rate-limited.
  virtual void log(LogLevel level, std::string_view text) = 0;
  // A counter of the handler's own that operators see, e.g. "direct_reads". Adds to it; no allocation after
  // the first use of a name.
  virtual void count(std::string_view name, std::uint64_t amount) = 0;
  // Writes done by an I/O grant so far, twice their number, modulo 2^32: +1 when one begins, +1 when it has
  // ended.
  [[nodiscard]] virtual std::uint32_t granted_writes() const { return 0; }

 protected:
  ~Services() = default;
};

struct OpenRequest {
  std::string device;               // e.g. "user_1/d0", for messages
  std::string config;               // dev_config after "SUBTYPE/", daemon options already removed
  ByteCount size;                   // of the LUN; a multiple of block_bytes
  std::uint32_t block_bytes = 512;  // a power of two, 512..65536
};

// Grows at its end only; `bytes` tells how much of it the handler was built with.
struct Module {
  std::uint32_t bytes = sizeof(Module);
  std::uint32_t api_version = kApiVersion;
  const char* subtype = nullptr;
  // Opens the backstore. The error's errno reaches the administrator's targetcli, its text the journal: it
  // names the input, the reason and the remedy.
  Result<std::unique_ptr<Device>> (*open)(Services& services, const OpenRequest& request) = nullptr;
  // Judges a config string. `may_open`: also whether what it names can be opened.
  Result<> (*check)(Services& services, std::string_view config, bool may_open) = nullptr;
};

}  // namespace bulkhead::handler

// The one symbol of a handler. The object it points to lives for ever.
extern "C" __attribute__((visibility("default"))) const bulkhead::handler::Module* bulkhead_handler_module();
