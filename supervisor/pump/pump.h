// A pump thread: moves the commands of its devices between kernel and hosts, waiting for either in one epoll.
//
// Threads: start(), post() and the destructor from the control thread; add(), watch_channel() and remove()
// only within posted work. The control thread never waits for a pump, and a pump waits for nothing but its
// epoll.
#pragma once

#include <sys/epoll.h>

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <thread>
#include <vector>

#include "base/error.h"
#include "base/unique_fd.h"
#include "supervisor/pump/data_path.h"

namespace bulkhead::supervisor {

class Pump;

// A device as its pump sees it. Owned by the device; must be removed from the pump before it dies.
class PumpClient : private DirectReads::Reader {
 public:
  PumpClient() = default;
  PumpClient(const PumpClient&) = delete;
  PumpClient& operator=(const PumpClient&) = delete;
  [[nodiscard]] virtual DataPath& path() = 0;
  [[nodiscard]] virtual const UniqueFd& uio() = 0;
  // The kernel has unregistered the device: reads fail, no more events will come.
  virtual void device_gone() = 0;

 protected:
  ~PumpClient() override = default;

 private:
  friend class Pump;
  void read_done(SlotIndex slot, std::span<const std::byte> data, bool whole) final;

  // What epoll hands back: who it is for, and which of the two descriptors.
  struct Source {
    PumpClient* client;
    bool uio;
  };
  Source uio_source_{this, true};
  Source doorbell_source_{this, false};
  bool queued_ = false;
  bool gone_ = false;  // the uio device says so
  std::uint32_t uio_events_ = 0;
  bool rung_ = false;
  bool dozes_ = false;  // it is among those whose turn is due at some time
  Pump* pump_ = nullptr;
};

class Pump {
 public:
  // `index` names the thread: "pump-3".
  [[nodiscard]] static Result<std::unique_ptr<Pump>> start(unsigned index);
  ~Pump();
  Pump(const Pump&) = delete;
  Pump& operator=(const Pump&) = delete;

  void post(std::move_only_function<void()> work);

  [[nodiscard]] Result<> add(PumpClient& client);
  // After path().attach(): also wait for that host's rings.
  [[nodiscard]] Result<> watch_channel(PumpClient& client);
  // Takes the host's channel away from the client's path.
  void detach(PumpClient& client);
  void remove(PumpClient& client);
  // Whether reads past the page cache can be done by grant here. Any thread.
  [[nodiscard]] bool reads_direct() const { return reads_ != nullptr; }
  // Give the client a turn soon.
  void schedule(PumpClient& client);

 private:
  Pump(UniqueFd epoll, UniqueFd wake, std::unique_ptr<DirectReads> reads);
  void run();
  void take_events(std::span<const epoll_event> events);
  void run_posted();
  void run_ready();
  void doze(PumpClient& client);
  void wake_dozing();
  [[nodiscard]] int patience_ms() const;
  void uio_event(PumpClient& client, bool error);
  void carry_on_reads();
  // True: it has more to do.
  [[nodiscard]] bool serve(PumpClient& client, bool alone);
  void drop_retired(PumpClient& client);
  void tell_who_shares();

  UniqueFd epoll_;
  UniqueFd wake_;
  const std::unique_ptr<DirectReads> reads_;  // null where there is no io_uring
  bool reads_left_ = false;                   // that the kernel did not take yet
  std::mutex lock_;                           // of posted_ alone; never held while work runs
  std::vector<std::move_only_function<void()>> posted_;
  bool stop_ = false;  // pump thread
  std::vector<PumpClient*> clients_;
  std::vector<PumpClient*> ready_;
  std::vector<PumpClient*> dozing_;  // those that want a turn at some time, though nothing happens
  std::uint64_t next_due_ns_ = 0;    // when the first of them does, at the earliest; 0: there are none
  std::uint64_t polled_ns_ = 0;
  std::thread thread_;
};

}  // namespace bulkhead::supervisor
