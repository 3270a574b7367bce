#include "base/control_socket.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace bulkhead {
namespace {

class ControlSocket : public ::testing::Test {
 protected:
  void send(std::size_t length, std::span<const int> fds = {}) {
    const std::string bytes(length, 'x');
    ASSERT_TRUE(send_packet(ends_[0], std::as_bytes(std::span(bytes)), fds));
  }
  std::array<UniqueFd, 2> ends_ = make_control_pair().value();
};

TEST_F(ControlSocket, PacketsComeWholeAndInOrder) {
  send(3);
  send(kMaxControlMessage);
  send(1);
  for (const std::size_t length : {std::size_t{3}, kMaxControlMessage, std::size_t{1}}) {
    const auto packet = receive_packet(ends_[1]);
    ASSERT_TRUE(packet && *packet);
    EXPECT_EQ((*packet)->bytes, std::string(length, 'x'));
    EXPECT_TRUE((*packet)->fds.empty());
  }
  const auto none = receive_packet(ends_[1]);
  ASSERT_TRUE(none);
  EXPECT_FALSE(none->has_value());
}

TEST_F(ControlSocket, DescriptorsComeWithTheirPacketAndCloseOnExec) {
  const std::vector<int> fds(kMaxControlFds, ends_[0].get());
  send(2, fds);
  const auto packet = receive_packet(ends_[1]);
  ASSERT_TRUE(packet && *packet);
  ASSERT_EQ((*packet)->fds.size(), kMaxControlFds);
  for (const UniqueFd& fd : (*packet)->fds) EXPECT_EQ(::fcntl(fd.get(), F_GETFD), FD_CLOEXEC);
}

// As no peer of ours does it.
void send_anything(const UniqueFd& socket, std::size_t length, std::span<const int> fds) {
  std::string bytes(length, 'x');
  iovec part{bytes.data(), bytes.size()};
  std::vector<std::uint64_t> buffer((CMSG_SPACE(fds.size_bytes()) + 7) / 8);
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  header.msg_control = fds.empty() ? nullptr : buffer.data();
  header.msg_controllen = fds.empty() ? 0 : CMSG_SPACE(fds.size_bytes());
  if (cmsghdr* rights = CMSG_FIRSTHDR(&header); rights != nullptr) {
    *rights = {.cmsg_len = CMSG_LEN(fds.size_bytes()), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
    std::memcpy(CMSG_DATA(rights), fds.data(), fds.size_bytes());
  }
  ASSERT_EQ(::sendmsg(socket.get(), &header, 0), static_cast<ssize_t>(length));
}

TEST_F(ControlSocket, ALongerPacketIsTheEndOfThePeer) {
  send_anything(ends_[0], kMaxControlMessage + 1, {});
  const auto packet = receive_packet(ends_[1]);
  ASSERT_FALSE(packet);
  EXPECT_EQ(packet.error().cause, Cause::PeerBroken);
  EXPECT_EQ(packet.error().sys_errno, EMSGSIZE);
}

// None is closed in here, or by the kernel: whoever receives decides where that is done.
TEST_F(ControlSocket, AllDescriptorsComeWhateverElseIsWrongWithThePacket) {
  for (const std::size_t length : {std::size_t{1}, kMaxControlMessage + 1}) {
    send_anything(ends_[0], length, std::vector<int>(253, ends_[0].get()));  // SCM_MAX_FD
    const auto packet = receive_packet(ends_[1]);
    ASSERT_TRUE(packet && *packet);
    EXPECT_EQ((*packet)->fds.size(), 253u);
  }
}

TEST_F(ControlSocket, WhatAPeerSaidBeforeItsEndIsThere) {
  send(5);
  const std::string unread = "never read";
  ASSERT_TRUE(send_packet(ends_[1], std::as_bytes(std::span(unread))));
  ends_[0].reset();
  const auto packet = receive_packet(ends_[1]);
  ASSERT_TRUE(packet && *packet);
  EXPECT_EQ((*packet)->bytes, "xxxxx");
  const auto end = receive_packet(ends_[1]);
  ASSERT_FALSE(end);
  EXPECT_EQ(end.error().cause, Cause::PeerBroken);
}

}  // namespace
}  // namespace bulkhead
