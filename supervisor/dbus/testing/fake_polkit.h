// polkit's authority as far as the service asks it: it answers when the test says so. Needs a bus on which
// its name may be owned.
#pragma once

#include <deque>
#include <string>
#include <vector>

#include "supervisor/dbus/testing/bus_client.h"

namespace bulkhead::supervisor {

class FakePolkit {
 public:
  explicit FakePolkit(const std::string& address);

  // Until so many questions have come in all, or been cancelled; false after ten seconds.
  bool wait_for_questions(std::size_t count);
  bool wait_for_cancels(std::size_t count);
  // As to_text() writes their arguments.
  [[nodiscard]] const std::vector<std::string>& questions() const { return questions_; }
  [[nodiscard]] const std::vector<std::string>& cancels() const { return cancels_; }

  // The oldest that waits for its answer.
  void answer(bool authorized, bool challenge = false);
  void answer_nonsense();

 private:
  static int on_call(sd_bus_message* message, void* polkit, sd_bus_error*) noexcept;

  BusClient client_;
  Slot exported_;
  std::vector<std::string> questions_, cancels_;
  std::deque<Message> waiting_;
};

}  // namespace bulkhead::supervisor
