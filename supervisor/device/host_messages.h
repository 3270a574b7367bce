// Judges what a handler-host says on its control socket, before anything acts on it. Pure: no I/O, no clock.
// Threads: one at a time. The bytes are hostile; proto/control.proto says which message may come when.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "base/error.h"
#include "proto/control.pb.h"
#include "supervisor/model/walls.h"

namespace bulkhead::supervisor {

// What a device is like, as its handler says.
struct HostFacts {
  bool read_only = false;
  bool write_cache = false;
  std::uint64_t size_bytes = 0;
  std::string unit_state;  // for the next host; nothing we understand
};

// Message IoGrant, as the host says: nothing of it is known to be true.
struct GrantOffer {
  std::uint32_t number = 0;
  std::uint64_t first_byte = 0;
  std::uint64_t bytes = 0;
  std::uint32_t largest_transfer_bytes = 0;
  bool direct = false;            // past the page cache, and only reading
  bool nothing_to_flush = false;  // for SYNCHRONIZE CACHE
};

class HostMessages {
 public:
  // Who acts on what was found in order.
  class Listener {
   public:
    virtual void hello() = 0;
    // Those it says it has; just before the answer to the question to open.
    virtual void walls(Walls walls) = 0;
    // The answer to question `id`, which take() has struck off.
    virtual void answered(std::uint64_t id, Result<> result) = 0;
    // The host waits for finish_request() to have been called for each of these.
    virtual void file_wanted(const control::OpenFile& asked) = 0;
    virtual void identity_wanted(std::uint64_t id) = 0;
    virtual void said(const control::Log& line) = 0;
    virtual void facts(const HostFacts& facts) = 0;
    virtual void grant_offered(const GrantOffer& offer) = 0;
    virtual void counter(std::string_view name, std::uint64_t value) = 0;

   protected:
    ~Listener() = default;
  };

  explicit HostMessages(Listener& listener) : listener_(listener) {}
  // Of a host that an earlier supervisor has greeted and asked. `recorded_id`: its next_question_id() at any
  // time of its life, also a bad one. Answers to its questions, also to later ones, are late, and no crime.
  HostMessages(Listener& listener, std::uint64_t recorded_id);

  // One packet. Empty: it was in order, and the listener was told. Otherwise the rule it broke: the host must
  // be ended, and nothing more is taken from it.
  [[nodiscard]] std::string_view take(std::string_view bytes, std::size_t descriptors);

  // Registers a question of ours; only an answer of this kind to this number is in order from now on.
  [[nodiscard]] std::uint64_t ask(control::Message::KindCase answer_kind);
  // Nobody waits for it any more. Its late answer is no crime.
  void give_up(std::uint64_t id) { questions_.erase(id); }
  // Of a request that this object has taken, once.
  void finish_request();
  [[nodiscard]] bool greeted() const { return greeted_; }
  // For the next supervisor, whose own questions begin far above: once a session is often enough.
  [[nodiscard]] std::uint64_t next_question_id() const { return next_id_; }

 private:
  [[nodiscard]] std::string_view take_hello(const control::Hello& hello);
  [[nodiscard]] std::string_view take_answer(control::Message::KindCase kind, std::uint64_t id,
                                             const control::Failure* failure);
  [[nodiscard]] std::string_view take_opened(const control::Opened& opened);
  [[nodiscard]] std::string_view take_request(const control::Message& message);
  [[nodiscard]] std::string_view take_facts(const control::DeviceFacts& facts);
  [[nodiscard]] std::string_view take_grant(const control::IoGrant& grant);
  [[nodiscard]] std::string_view take_counters(const control::Counters& counters);

  Listener& listener_;
  bool greeted_ = false;
  unsigned requests_ = 0;  // the host's, that we have not answered yet
  std::uint64_t next_id_ = 1;
  std::map<std::uint64_t, control::Message::KindCase> questions_;
};

}  // namespace bulkhead::supervisor
