#include "handler-host/runtime/identity_client.h"

#include <cerrno>
#include <iterator>
#include <utility>

namespace bulkhead::host {

void IdentityClient::ask(Answer answer) {
  waiting_.push_back(std::move(answer));
  if (question_ == 0) send_question();
}

void IdentityClient::send_question() {
  asked_ = std::exchange(waiting_, {});
  question_ = control_.next_id();
  control::Message message;
  message.mutable_get_identity()->set_id(question_);
  const bool sent = control_.try_send(message);
  // Not sent: given up at once, but never from within ask().
  deadline_ = loop_.after(sent ? patience_ : std::chrono::milliseconds(0), [this] { give_up(); });
}

void IdentityClient::answered(const control::Identity& identity) {
  if (question_ == 0 || identity.id() != question_) return;
  loop_.cancel(deadline_);
  question_ = 0;
  std::vector<Answer> told = std::exchange(asked_, {});
  // First, so that whoever asks again from within his answer queues behind those who wait.
  if (!waiting_.empty()) send_question();
  tell(std::move(told), scsi::Identity{.unit_serial = identity.unit_serial(),
                                       .vendor = identity.vendor(),
                                       .product = identity.product(),
                                       .revision = identity.revision()});
}

void IdentityClient::ask_again() {
  if (question_ == 0) return;
  loop_.cancel(deadline_);
  waiting_.insert(waiting_.begin(), std::make_move_iterator(asked_.begin()),
                  std::make_move_iterator(asked_.end()));
  send_question();
}

void IdentityClient::give_up() {
  question_ = 0;
  std::vector<Answer> told = std::exchange(asked_, {});
  // A supervisor that did not answer these would not answer those soon: they may try again.
  for (Answer& answer : std::exchange(waiting_, {})) told.push_back(std::move(answer));
  tell(std::move(told),
       fail(Cause::TimedOut, ETIMEDOUT, "the supervisor did not tell the LUN's identity in time"));
}

void IdentityClient::tell(std::vector<Answer> to, const Result<scsi::Identity>& identity) {
  for (Answer& answer : to) answer(identity);
}

}  // namespace bulkhead::host
