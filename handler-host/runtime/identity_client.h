// Asks the supervisor how the LUN names itself.
//
// One question is under way at a time, however many initiators look: who asks meanwhile is answered by the
// next one, never by an answer older than his question, because the serial is set after the LUN is made.
//
// Threads: the loop thread. Everybody is answered: by the supervisor, or as TimedOut when patience ends.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <vector>

#include "handler-host/runtime/control_client.h"
#include "handler-host/runtime/event_loop.h"
#include "handler-host/scsi/logical_unit.h"

namespace bulkhead::host {

class IdentityClient final : public scsi::IdentitySource {
 public:
  using Answer = std::move_only_function<void(Result<scsi::Identity>)>;

  static constexpr std::chrono::milliseconds kPatience{5000};
  IdentityClient(EventLoop& loop, ControlClient& control, std::chrono::milliseconds patience = kPatience)
      : loop_(loop), control_(control), patience_(patience) {}

  void ask(Answer answer) override;
  // An answer that nobody waits for any more is dropped.
  void answered(const control::Identity& identity);
  // The supervisor that was asked is gone, and another one there: the question under way, if there is one, is
  // put again, with fresh patience and for everybody who waits.
  void ask_again();

 private:
  void send_question();
  void give_up();
  static void tell(std::vector<Answer> to, const Result<scsi::Identity>& identity);

  EventLoop& loop_;
  ControlClient& control_;
  const std::chrono::milliseconds patience_;
  std::uint64_t question_ = 0;     // 0: none under way
  EventLoop::TimerId deadline_{};  // of the question under way
  std::vector<Answer> asked_;      // wait for its answer
  std::vector<Answer> waiting_;    // for the next one's
};

}  // namespace bulkhead::host
