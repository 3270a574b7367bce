#include "bench/path/served_lun.h"

#include <fmt/format.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <future>
#include <optional>
#include <utility>

#include "supervisor/broker/grant_file.h"
#include "supervisor/broker/write_back_witness.h"

namespace bulkhead::bench {
namespace {

using namespace std::chrono_literals;
using supervisor::Channel;
using supervisor::ChannelSize;
using supervisor::CommandRing;
using supervisor::FileAsked;
using supervisor::HostCommand;
using supervisor::HostSession;
using supervisor::Journal;
using supervisor::Pump;

constexpr std::chrono::seconds kPatience{120};  // a thousand of them take turns on few processors
constexpr ChannelSize kSize;                    // as in service

// Nothing is measured any more that would mean anything.
[[noreturn]] void give_up(std::string_view why) {
  fmt::print(stderr, "bulkhead: {}\n", why);
  std::_Exit(1);
}

Result<> run_until_answered(boost::asio::io_context& io, boost::asio::awaitable<Result<>> call) {
  std::optional<Result<>> answer;
  auto wait = [&answer](boost::asio::awaitable<Result<>> asked) -> boost::asio::awaitable<void> {
    answer = co_await std::move(asked);
  };
  boost::asio::co_spawn(io, wait(std::move(call)), boost::asio::detached);
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  io.restart();
  while (!answer && std::chrono::steady_clock::now() < deadline) io.run_one_for(100ms);
  return answer.value_or(fail(Cause::TimedOut, ETIMEDOUT, "a handler-host does not answer"));
}

// Runs `work` on the pump and waits for its end.
template <class Work>
void on_pump(Pump& pump, Work work) {
  std::promise<void> done;
  pump.post([&done, work = std::move(work)]() mutable {
    work();
    done.set_value();
  });
  if (done.get_future().wait_for(kPatience) != std::future_status::ready) give_up("a pump does not answer");
}

}  // namespace

Result<std::unique_ptr<ServedLun>> ServedLun::prepare(Pump& pump, LunParts parts) {
  auto journal = Journal::create(kSize.slots, kSize.data_bytes / channel::kPage);
  if (!journal) return std::unexpected(std::move(journal.error()));
  auto ring = CommandRing::attach(parts.region, (*journal)->cursors());
  if (!ring) return std::unexpected(std::move(ring.error()));
  return std::unique_ptr<ServedLun>(new ServedLun(pump, *ring, std::move(*journal), std::move(parts)));
}

Result<std::unique_ptr<ServedLun>> ServedLun::serve(boost::asio::io_context& io, Pump& pump, LunParts parts) {
  auto lun = prepare(pump, std::move(parts));
  if (!lun) return lun;
  if (auto started = run_until_answered(io, (*lun)->start_host(io)); !started)
    return std::unexpected(std::move(started.error()));
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  while ((*lun)->awaits_grant() && std::chrono::steady_clock::now() < deadline) io.run_one_for(100ms);
  if ((*lun)->awaits_grant()) return fail(Cause::TimedOut, ETIMEDOUT, "the handler-host offers no I/O grant");
  return lun;
}

boost::asio::awaitable<Result<std::unique_ptr<ServedLun>>> ServedLun::start(boost::asio::io_context& io,
                                                                            Pump& pump, LunParts parts) {
  auto lun = prepare(pump, std::move(parts));
  if (!lun) co_return lun;
  auto starting = (*lun)->start_host(io);
  auto started = co_await std::move(starting);
  if (!started) co_return std::unexpected(std::move(started.error()));
  co_return lun;
}

ServedLun::ServedLun(Pump& pump, CommandRing ring, std::shared_ptr<Journal> journal, LunParts parts)
    : pump_(pump),
      parts_(std::move(parts)),
      journal_(std::move(journal)),
      path_(ring, journal_, std::make_shared<supervisor::DeviceStats>(), *this, std::move(parts_.kick)) {}

ServedLun::~ServedLun() {
  if (on_pump_) on_pump(pump_, [this] { pump_.remove(*this); });
  if (!session_) return;
  session_->abandon();
  session_->kill("the benchmark is over");
}

boost::asio::awaitable<Result<>> ServedLun::start_host(boost::asio::io_context& io) {
  supervisor::StartGate::Turn turn;
  if (parts_.starts != nullptr) {
    auto asking = parts_.starts->take(false);
    turn = co_await std::move(asking);
  }
  auto ends = Channel::create(kSize);
  if (!ends) co_return std::unexpected(std::move(ends.error()));
  const HostCommand command{
      .binary = parts_.host_program,
      .visible_name = fmt::format("tcmu-host: {}/bench", parts_.subtype),
      .uid = parts_.host_uid,
      .sandbox = {"--library-dir=" + std::filesystem::path(parts_.library).parent_path().string(),
                  "--threads", fmt::format("--busy-poll-usec={}", parts_.busy_poll.count())}};
  static const supervisor::BlockingPool files;  // outlives every session
  auto session = HostSession::launch(io, files, command, "bench", *this);
  if (!session) co_return std::unexpected(std::move(session.error()));
  session_ = std::move(*session);
  control::Start start;
  start.set_subtype(parts_.subtype);
  start.set_library(parts_.library);
  start.set_slots(kSize.slots);
  start.set_data_bytes(kSize.data_bytes);
  std::optional<supervisor::HostEnds> given(std::move(ends->host));
  auto starting = session_->start(start, std::move(given), kPatience);
  const auto started = co_await std::move(starting);
  turn.end();
  if (!started) co_return started;
  control::Open open;
  open.set_id(0);
  open.set_device("bench");
  open.set_config(parts_.config);
  open.set_size_bytes(parts_.bytes);
  open.set_block_bytes(512);
  open.set_largest_transfer_bytes(static_cast<std::uint32_t>(kSize.data_bytes));
  auto opening = session_->open(open, kPatience);
  const auto opened = co_await std::move(opening);
  if (!opened) co_return opened;
  co_return put_on_pump(std::move(ends->channel));
}

Result<> ServedLun::put_on_pump(std::unique_ptr<Channel> channel) {
  Result<> done;
  on_pump(pump_, [&] {
    done = pump_.add(*this);
    if (!done) return;
    path_.attach(std::move(channel));
    path_.set_busy_poll(parts_.busy_poll);
    done = pump_.watch_channel(*this);
  });
  on_pump_ = done.has_value();
  apply_grant();
  return done;
}

void ServedLun::host_broke_rule(std::string_view rule) {
  give_up(rule);
}
void ServedLun::ring_broken(const Error& error) {
  give_up(error.what);
}
void ServedLun::host_ended(const std::string& how) {
  give_up(how);
}

boost::asio::awaitable<Result<UniqueFd>> ServedLun::host_asks_file(FileAsked asked) {
  auto file = supervisor::open_for_host(parts_.config, asked, {});
  if (file && asked.writable && parts_.grants) {
    // Of its own: the host may switch its one to O_DIRECT.
    auto witness = supervisor::open_witness(*file);
    if (!witness) co_return std::unexpected(std::move(witness.error()));
    opened_ = std::move(*witness);
  }
  co_return file;
}

void ServedLun::host_offers_grant(const supervisor::GrantOffer& offer) {
  offer_ = offer;
  if (!opened_) return;
  auto granted = supervisor::open_for_grant(opened_, offer.direct);
  if (!granted) return give_up(granted.error().what);
  image_ = std::make_shared<const UniqueFd>(std::move(granted->file));
  image_in_memory_ = granted->in_memory;
  image_is_disk_ = granted->is_disk;
  apply_grant();
}

// As supervisor/device/device_grants.cc does.
void ServedLun::apply_grant() {
  if (!parts_.grants || !on_pump_ || !offer_ || !image_) return;
  pump_.post([this, grant = supervisor::IoGrant({.file = image_,
                                                 .number = offer_->number,
                                                 .first = {offer_->first_byte},
                                                 .size = {offer_->bytes},
                                                 .block_bytes = 512,
                                                 .largest_bytes = supervisor::IoGrant::kLargestBytes,
                                                 .writable = !offer_->direct,
                                                 .in_memory = image_in_memory_,
                                                 .nothing_to_flush = offer_->nothing_to_flush,
                                                 .direct = offer_->direct,
                                                 .is_disk = image_is_disk_})] { path_.set_grant(grant); });
}

boost::asio::awaitable<Result<control::Identity>> ServedLun::host_asks_identity() {
  co_return control::Identity();
}

}  // namespace bulkhead::bench
