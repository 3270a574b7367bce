#include "supervisor/pump/pump.h"

#include <fmt/format.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include "base/doorbell.h"
#include "supervisor/pump/monotonic.h"

namespace bulkhead::supervisor {
namespace {

// A client that finds more to do by looking itself keeps the others' events waiting no longer than this.
constexpr std::uint64_t kPollEveryNs = 100'000;
// So many events of a uio device between two reads of it; see uio_event().
constexpr std::uint32_t kEventsPerRead = 1024;
// Until the kernel is asked again to take reads that it had no memory for.
constexpr int kAskAgainMs = 2;

}  // namespace

Result<std::unique_ptr<Pump>> Pump::start(unsigned index) {
  UniqueFd epoll(::epoll_create1(EPOLL_CLOEXEC));
  if (!epoll) return fail_errno(errno, "epoll_create1 for a pump");
  auto wake = make_eventfd();
  if (!wake) return std::unexpected(std::move(wake.error()));
  epoll_event event{.events = EPOLLIN, .data = {.ptr = nullptr}};
  if (::epoll_ctl(epoll.get(), EPOLL_CTL_ADD, wake->get(), &event) != 0)
    return fail_errno(errno, "watch a pump's own eventfd");
  auto reads = DirectReads::create();
  if (reads) {
    epoll_event done{.events = EPOLLIN, .data = {.ptr = reads->get()}};
    if (::epoll_ctl(epoll.get(), EPOLL_CTL_ADD, (*reads)->fd(), &done) != 0)
      return fail_errno(errno, "watch a pump's own io_uring");
  }
  std::unique_ptr<Pump> pump(
      new Pump(std::move(epoll), std::move(*wake), reads ? std::move(*reads) : nullptr));
  pump->thread_ = std::thread([raw = pump.get()] { raw->run(); });
  ::pthread_setname_np(pump->thread_.native_handle(), fmt::format("pump-{}", index).c_str());
  return pump;
}

Pump::Pump(UniqueFd epoll, UniqueFd wake, std::unique_ptr<DirectReads> reads)
    : epoll_(std::move(epoll)), wake_(std::move(wake)), reads_(std::move(reads)) {}

Pump::~Pump() {
  post([this] { stop_ = true; });
  thread_.join();
}

void Pump::post(std::move_only_function<void()> work) {
  {
    std::lock_guard guard(lock_);
    posted_.push_back(std::move(work));
  }
  const std::uint64_t one = 1;
  [[maybe_unused]] ssize_t written = ::write(wake_.get(), &one, sizeof one);
}

Result<> Pump::add(PumpClient& client) {
  epoll_event event{.events = EPOLLIN | EPOLLET, .data = {.ptr = &client.uio_source_}};
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, client.uio().get(), &event) != 0)
    return fail_errno(errno, "watch a uio device");
  clients_.push_back(&client);
  client.pump_ = this;
  client.path().set_direct_reads(reads_.get(), &client);
  tell_who_shares();
  // What was queued before the uio device was opened never raises an event.
  schedule(client);
  return {};
}

Result<> Pump::watch_channel(PumpClient& client) {
  // Edge-triggered and never read: each ring is one wake, and nobody can make a read of ours block.
  epoll_event event{.events = EPOLLIN | EPOLLET, .data = {.ptr = &client.doorbell_source_}};
  const UniqueFd& doorbell = client.path().channel()->doorbell();
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, doorbell.get(), &event) != 0)
    return fail_errno(errno, "watch a host's doorbell");
  schedule(client);
  return {};
}

void Pump::drop_retired(PumpClient& client) {
  if (client.path().retired() == nullptr) return;
  // Closing our descriptor would not do: the host's copy keeps the registration alive, tag and all.
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, client.path().retired()->doorbell().get(), nullptr);
  client.path().drop_retired();
}

void Pump::detach(PumpClient& client) {
  client.path().detach();
  drop_retired(client);
}

void Pump::remove(PumpClient& client) {
  detach(client);
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, client.uio().get(), nullptr);
  std::erase(ready_, &client);
  client.queued_ = false;
  std::erase(dozing_, &client);
  client.dozes_ = false;
  client.path().set_direct_reads(nullptr, nullptr);
  if (reads_) reads_->leave(client);
  std::erase(clients_, &client);
  tell_who_shares();
}

void Pump::tell_who_shares() {
  for (PumpClient* client : clients_) client->path().set_shares_pump(clients_.size() > 1);
}

void Pump::schedule(PumpClient& client) {
  if (client.queued_) return;
  client.queued_ = true;
  ready_.push_back(&client);
}

void Pump::run() {
  std::array<epoll_event, 64> events{};
  while (!stop_) {
    if (ready_.empty() || monotonic_ns() - polled_ns_ > kPollEveryNs) {
      const int patience = ready_.empty() ? patience_ms() : 0;
      const int count = ::epoll_wait(epoll_.get(), events.data(), events.size(), patience);
      if (count < 0 && errno != EINTR) BULKHEAD_CHECK(!"epoll_wait failed");
      polled_ns_ = monotonic_ns();
      take_events(std::span(events).first(static_cast<std::size_t>(std::max(count, 0))));
      run_posted();
      if (next_due_ns_ != 0 && polled_ns_ >= next_due_ns_) wake_dozing();
    }
    run_ready();
    if (reads_) carry_on_reads();
  }
}

void Pump::take_events(std::span<const epoll_event> events) {
  for (const epoll_event& event : events) {
    const auto* source = static_cast<const PumpClient::Source*>(event.data.ptr);
    if (source == nullptr) {
      drain_doorbell(wake_);
      continue;
    }
    if (event.data.ptr == reads_.get()) continue;  // each round looks for those
    if (source->uio)
      uio_event(*source->client, (event.events & (EPOLLERR | EPOLLHUP)) != 0);
    else
      source->client->rung_ = true;
    schedule(*source->client);
  }
}

// After the events and before the turns: work that removes a client also takes it out of ready_.
void Pump::run_posted() {
  std::vector<std::move_only_function<void()>> work;
  {
    std::lock_guard guard(lock_);
    work.swap(posted_);
  }
  for (auto& item : work) item();
}

void Pump::run_ready() {
  const std::size_t count = ready_.size();
  for (std::size_t i = 0; i < count; ++i) {
    PumpClient& client = *ready_[i];
    client.queued_ = false;
    if (std::exchange(client.gone_, false)) client.device_gone();
    if (std::exchange(client.rung_, false)) client.path().rung();
    if (serve(client, count == 1)) schedule(client);
    drop_retired(client);
    if (client.path().turn_due_ns() != 0) doze(client);
  }
  ready_.erase(ready_.begin(), ready_.begin() + static_cast<std::ptrdiff_t>(count));
}

void Pump::doze(PumpClient& client) {
  if (!std::exchange(client.dozes_, true)) dozing_.push_back(&client);
  const std::uint64_t due = client.path().turn_due_ns();
  if (next_due_ns_ == 0 || due < next_due_ns_) next_due_ns_ = due;
}

// All are looked at, but only when one of them is due: no cost for each event, whatever their number.
void Pump::wake_dozing() {
  next_due_ns_ = 0;
  std::erase_if(dozing_, [this](PumpClient* client) {
    const std::uint64_t due = client->path().turn_due_ns();
    if (due != 0 && due > polled_ns_) {
      if (next_due_ns_ == 0 || due < next_due_ns_) next_due_ns_ = due;
      return false;
    }
    client->dozes_ = false;
    if (due != 0) schedule(*client);
    return true;
  });
}

// What this round's turns have begun, all at once; and what is done, be it just now.
void Pump::carry_on_reads() {
  reads_left_ = reads_->submit();
  reads_->reap();
}

void PumpClient::read_done(SlotIndex slot, std::span<const std::byte> data, bool whole) {
  path().read_done(slot, data, whole);
  pump_->schedule(*this);
}

// How long epoll may wait. Rounded up: a turn that comes too early is one in vain.
int Pump::patience_ms() const {
  constexpr std::uint64_t kMillisecond = 1'000'000, kMost = 3'600'000;
  if (reads_left_) return kAskAgainMs;
  if (next_due_ns_ == 0) return -1;
  const std::uint64_t now = monotonic_ns();
  const std::uint64_t left = next_due_ns_ > now ? next_due_ns_ - now : 0;
  return static_cast<int>(std::min((left + kMillisecond - 1) / kMillisecond, kMost));
}

// The others would wait while one looks for what comes.
bool Pump::serve(PumpClient& client, bool alone) {
  DataPath& path = client.path();
  return path.work() || (alone && ready_.size() == 1 && path.comes_soon()) || !path.rest();
}

// Edge-triggered: what the ring holds is looked up there, so nothing need be read, but the number of events
// so far now and then. With what we read last it would be the same number again after 2^32 events, and the
// kernel take that for no event.
void Pump::uio_event(PumpClient& client, bool error) {
  if (!error && ++client.uio_events_ % kEventsPerRead != 0) return;
  std::int32_t events = 0;
  if (::read(client.uio().get(), &events, sizeof events) >= 0 || errno == EAGAIN || errno == EINTR) return;
  // EIO: unregistered.
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, client.uio().get(), nullptr);
  client.gone_ = true;
}

}  // namespace bulkhead::supervisor
