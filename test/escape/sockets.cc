#include <arpa/inet.h>
#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cstring>

#include "base/unique_fd.h"
#include "test/escape/attempts.h"

namespace bulkhead::test {
namespace {

int make(int family, int type, int protocol = 0) {
  const UniqueFd fd(::socket(family, type | SOCK_CLOEXEC, protocol));
  return refusal(fd.get());
}

template <class Address>
int connect_to(const Address& address, socklen_t bytes) {
  const UniqueFd fd(
      ::socket(reinterpret_cast<const sockaddr&>(address).sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd) return errno;
  return refusal(::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), bytes));
}

int connect_to_bus(const Targets&) {
  const sockaddr_un bus{AF_UNIX, "/run/dbus/system_bus_socket"};
  return connect_to(bus, sizeof bus);
}
int connect_to_abstract(const Targets&) {
  constexpr std::string_view kName = "bulkhead-escape";
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path + 1, kName.data(), kName.size());
  return connect_to(address, static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + kName.size()));
}
int connect_by_inet(const Targets& told) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(told.number("port")));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return connect_to(address, sizeof address);
}
int connect_by_inet6(const Targets& told) {
  sockaddr_in6 address{};
  address.sin6_family = AF_INET6;
  address.sin6_port = htons(static_cast<std::uint16_t>(told.number("port")));
  address.sin6_addr = in6addr_loopback;
  return connect_to(address, sizeof address);
}
int inet_raw(const Targets&) {
  return make(AF_INET, SOCK_RAW, IPPROTO_ICMP);
}
int packet(const Targets&) {
  return make(AF_PACKET, SOCK_RAW);
}
int vsock(const Targets&) {
  return make(AF_VSOCK, SOCK_STREAM);
}
int alg(const Targets&) {
  return make(AF_ALG, SOCK_SEQPACKET);
}
int bluetooth(const Targets&) {
  constexpr int kL2cap = 0;
  return make(AF_BLUETOOTH, SOCK_SEQPACKET, kL2cap);
}
int can(const Targets&) {
  constexpr int kRaw = 1;
  return make(AF_CAN, SOCK_RAW, kRaw);
}
int kcm(const Targets&) {
  return make(AF_KCM, SOCK_DGRAM);
}
int xdp(const Targets&) {
  return make(AF_XDP, SOCK_RAW);
}
int netlink(const Targets&) {
  return make(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
}
int pair_of_sockets(const Targets&) {
  std::array<int, 2> ends{};
  return refusal(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()));
}

// enum tcmu_genl_cmd and tcmu_genl_attr of include/uapi/linux/target_core_user.h, which is not fit for C++.
constexpr std::uint8_t kSetFeatures = 7;
constexpr std::uint16_t kAnswersCommands = 9;

// Generic netlink, by hand as an attacker would: one message, one attribute.
struct GenericMessage {
  nlmsghdr head{};
  genlmsghdr generic{};
  nlattr attribute{};
  std::array<char, 16> value{};
};

// The kernel's answer: of an error its errno, else 0, with the message itself in `answer`.
int ask_kernel(const UniqueFd& fd, GenericMessage message, std::size_t value_bytes,
               std::span<char, 4096> answer) {
  message.attribute.nla_len = static_cast<std::uint16_t>(sizeof(nlattr) + value_bytes);
  message.head.nlmsg_len = static_cast<std::uint32_t>(sizeof(nlmsghdr) + sizeof(genlmsghdr) +
                                                      NLA_ALIGN(sizeof(nlattr) + value_bytes));
  if (::send(fd.get(), &message, message.head.nlmsg_len, 0) < 0) return errno;
  const ssize_t got = ::recv(fd.get(), answer.data(), answer.size(), 0);
  if (got < static_cast<ssize_t>(sizeof(nlmsghdr))) return got < 0 ? errno : EIO;
  nlmsghdr head{};
  std::memcpy(&head, answer.data(), sizeof head);
  if (head.nlmsg_type != NLMSG_ERROR) return 0;
  int error = 0;
  std::memcpy(&error, answer.data() + sizeof head, sizeof error);
  return -error;
}

// CTRL_ATTR_FAMILY_ID among the attributes; 0: it is not there.
std::uint16_t family_in(std::span<const char> answer) {
  std::size_t at = sizeof(nlmsghdr) + sizeof(genlmsghdr);
  while (at + sizeof(nlattr) + sizeof(std::uint16_t) <= answer.size()) {
    nlattr attribute{};
    std::memcpy(&attribute, answer.data() + at, sizeof attribute);
    if (attribute.nla_len < sizeof attribute) return 0;
    std::uint16_t value = 0;
    std::memcpy(&value, answer.data() + at + sizeof attribute, sizeof value);
    if (attribute.nla_type == CTRL_ATTR_FAMILY_ID) return value;
    at += NLA_ALIGN(attribute.nla_len);
  }
  return 0;
}

// What the supervisor tells the kernel when it starts, and only it may: that it answers netlink commands.
int speak_for_supervisor(const Targets&) {
  const UniqueFd fd(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC));
  if (!fd) return errno;
  std::array<char, 4096> answer{};
  GenericMessage question;
  question.head.nlmsg_type = GENL_ID_CTRL;
  question.head.nlmsg_flags = NLM_F_REQUEST;
  question.generic.cmd = CTRL_CMD_GETFAMILY;
  question.generic.version = 1;
  question.attribute.nla_type = CTRL_ATTR_FAMILY_NAME;
  constexpr std::string_view kFamily = "TCM-USER";
  std::memcpy(question.value.data(), kFamily.data(), kFamily.size());
  if (const int no = ask_kernel(fd, question, kFamily.size() + 1, answer); no != 0) return no;
  GenericMessage order;
  order.head.nlmsg_type = family_in(answer);
  order.head.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
  order.generic.cmd = kSetFeatures;
  order.generic.version = 2;
  order.attribute.nla_type = kAnswersCommands;
  order.value[0] = 1;
  return ask_kernel(fd, order, 1, answer);
}

constexpr Attempt kAttempts[] = {
    {"connect_to_bus", "connect to the system bus", "seccomp root", connect_to_bus},
    {"connect_to_abstract", "connect to an abstract socket", "seccomp network-namespace",
     connect_to_abstract},
    {"connect_by_inet", "connect to 127.0.0.1", "seccomp network-namespace", connect_by_inet},
    {"connect_by_inet6", "connect to ::1", "seccomp network-namespace", connect_by_inet6},
    {"inet_raw", "a raw IP socket", "seccomp unit user capabilities user-namespace", inet_raw},
    {"packet", "a packet socket", "seccomp unit user capabilities user-namespace", packet},
    {"netlink", "a netlink socket", "seccomp", netlink},
    {"speak_for_supervisor", "tell target_core_user what only the supervisor may",
     "seccomp user capabilities user-namespace", speak_for_supervisor},
    {"pair_of_sockets", "a pair of UNIX sockets", "seccomp", pair_of_sockets},
    {"vsock", "a socket to the hypervisor (AF_VSOCK)", "seccomp unit", vsock},
    {"alg", "a socket of the kernel's ciphers (AF_ALG)", "seccomp unit", alg},
    {"bluetooth", "an AF_BLUETOOTH socket", "seccomp unit", bluetooth},
    {"can", "an AF_CAN socket", "seccomp unit", can},
    {"kcm", "an AF_KCM socket", "seccomp unit", kcm},
    {"xdp", "an AF_XDP socket", "seccomp unit user capabilities user-namespace", xdp},
};

}  // namespace

std::span<const Attempt> attempts_on_sockets() {
  return kAttempts;
}

}  // namespace bulkhead::test
