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

TEST_F(ControlSocket, ALongerPacketEndsThePeerAndItsDescriptorIsClosed) {
  int pipe_ends[2];
  ASSERT_EQ(::pipe2(pipe_ends, O_CLOEXEC | O_NONBLOCK), 0);
  const UniqueFd reader(pipe_ends[0]);
  {
    const UniqueFd writer(pipe_ends[1]);
    std::string bytes(kMaxControlMessage + 1, 'x');
    iovec part{bytes.data(), bytes.size()};
    alignas(cmsghdr) std::array<std::byte, CMSG_SPACE(sizeof(int))> buffer{};
    msghdr header{};
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    header.msg_control = buffer.data();
    header.msg_controllen = buffer.size();
    cmsghdr* rights = CMSG_FIRSTHDR(&header);
    *rights = {.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
    const int fd = writer.get();
    std::memcpy(CMSG_DATA(rights), &fd, sizeof fd);
    ASSERT_EQ(::sendmsg(ends_[0].get(), &header, 0), static_cast<ssize_t>(bytes.size()));
  }
  const auto packet = receive_packet(ends_[1]);
  ASSERT_FALSE(packet);
  EXPECT_EQ(packet.error().cause, Cause::PeerBroken);
  EXPECT_EQ(packet.error().sys_errno, EMSGSIZE);
  char byte = 0;
  EXPECT_EQ(::read(reader.get(), &byte, 1), 0) << "somebody still has the other end";
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
