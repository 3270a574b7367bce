// Through the io_uring that handler `file` has: the kernel carries out what is in a ring without asking the
// system call filter, nor what the unit says of address families.
#include <fcntl.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cstring>

#include "base/unique_fd.h"
#include "test/escape/attempts.h"
#include "test/escape/own_ring.h"

namespace bulkhead::test {
namespace {

int own_file(const Targets& told) {
  return static_cast<int>(told.number("own_fd"));
}

template <class Prepare>
int asked(const Targets& told, Prepare prepare) {
  return ask_ring(own_file(told), prepare);
}
template <class Prepare>
int refused(const Targets& told, Prepare prepare) {
  const int answer = asked(told, prepare);
  return answer < 0 ? -answer : 0;
}
// What makes a descriptor.
template <class Prepare>
int refused_descriptor(const Targets& told, Prepare prepare) {
  const UniqueFd made(asked(told, prepare));
  return made ? 0 : -made.get();
}

// An attempt that needs descriptors which a host can't make is made without them first: a ring with limits
// refuses an operation before it looks at any.
int refused_without_descriptor(const Targets& told, std::uint8_t operation) {
  const int answer = asked(
      told, [operation](io_uring_sqe& entry) { ::io_uring_prep_rw(operation, &entry, -1, nullptr, 0, 0); });
  return answer == -EACCES || answer == -ENOTRECOVERABLE ? -answer : 0;
}

int open_secret(const Targets& told) {
  return refused_descriptor(told, [&told](io_uring_sqe& entry) {
    ::io_uring_prep_openat(&entry, AT_FDCWD, told.path("secret"), O_RDONLY | O_CLOEXEC, 0);
  });
}
int open_other_image(const Targets& told) {
  open_how how{};
  how.flags = O_RDWR | O_CLOEXEC;
  return refused_descriptor(told, [&](io_uring_sqe& entry) {
    ::io_uring_prep_openat2(&entry, AT_FDCWD, told.path("other_image"), &how);
  });
}
int look_at_secret(const Targets& told) {
  struct statx facts{};
  return refused(told, [&](io_uring_sqe& entry) {
    ::io_uring_prep_statx(&entry, AT_FDCWD, told.path("secret"), 0, STATX_SIZE, &facts);
  });
}
int unlink_it(const Targets& told, const char* path, int flags) {
  return refused(told, [&](io_uring_sqe& entry) { ::io_uring_prep_unlinkat(&entry, AT_FDCWD, path, flags); });
}
int link_other_image(const Targets& told) {
  const std::string name = std::string(told.path("folder")) + "/linked-by-ring";
  const int no = refused(told, [&](io_uring_sqe& entry) {
    ::io_uring_prep_linkat(&entry, AT_FDCWD, told.path("other_image"), AT_FDCWD, name.c_str(), 0);
  });
  return no != 0 ? no : unlink_it(told, name.c_str(), 0);
}
int rename_other_image(const Targets& told) {
  const std::string name = std::string(told.path("folder")) + "/renamed-by-ring";
  const auto rename = [&told](const char* from, const char* to) {
    return refused(told, [&](io_uring_sqe& entry) {
      ::io_uring_prep_renameat(&entry, AT_FDCWD, from, AT_FDCWD, to, 0);
    });
  };
  const int no = rename(told.path("other_image"), name.c_str());
  return no != 0 ? no : rename(name.c_str(), told.path("other_image"));
}
int make_folder(const Targets& told) {
  constexpr const char* kName = "/tmp/escape-by-ring";
  const int no =
      refused(told, [](io_uring_sqe& entry) { ::io_uring_prep_mkdirat(&entry, AT_FDCWD, kName, 0700); });
  return no != 0 ? no : unlink_it(told, kName, AT_REMOVEDIR);
}

int make_socket(const Targets& told, int family, int type, int protocol) {
  return refused_descriptor(told, [=](io_uring_sqe& entry) {
    ::io_uring_prep_socket(&entry, family, type | SOCK_CLOEXEC, protocol, 0);
  });
}
int unix_socket(const Targets& told) {
  return make_socket(told, AF_UNIX, SOCK_STREAM, 0);
}
int netlink_socket(const Targets& told) {
  return make_socket(told, AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
}
int cipher_socket(const Targets& told) {
  return make_socket(told, AF_ALG, SOCK_SEQPACKET, 0);
}

template <class Address>
int connect_to(const Targets& told, const Address& address) {
  if (const int no = refused_without_descriptor(told, IORING_OP_CONNECT); no != 0) return no;
  const auto* any = reinterpret_cast<const sockaddr*>(&address);
  const UniqueFd fd(::socket(any->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd) return errno;
  return refused(
      told, [&](io_uring_sqe& entry) { ::io_uring_prep_connect(&entry, fd.get(), any, sizeof address); });
}
int connect_to_bus(const Targets& told) {
  return connect_to(told, sockaddr_un{AF_UNIX, "/run/dbus/system_bus_socket"});
}
int connect_by_inet(const Targets& told) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(told.number("port")));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return connect_to(told, address);
}
int accept_somebody(const Targets& told) {
  if (const int no = refused_without_descriptor(told, IORING_OP_ACCEPT); no != 0) return no;
  const UniqueFd door(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const UniqueFd guest(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  socklen_t bytes = sizeof address;
  address.sun_family = AF_UNIX;
  auto* any = reinterpret_cast<sockaddr*>(&address);
  // Any abstract name: the kernel finds one.
  if (::bind(door.get(), any, sizeof address.sun_family) != 0 || ::listen(door.get(), 1) != 0 ||
      ::getsockname(door.get(), any, &bytes) != 0 || ::connect(guest.get(), any, bytes) != 0)
    return errno;
  return refused_descriptor(told, [&](io_uring_sqe& entry) {
    ::io_uring_prep_accept(&entry, door.get(), nullptr, nullptr, SOCK_CLOEXEC);
  });
}
int send_descriptor(const Targets& told) {
  if (const int no = refused_without_descriptor(told, IORING_OP_SENDMSG); no != 0) return no;
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0) return errno;
  const UniqueFd from(ends[0]), to(ends[1]);
  char byte = 0;
  iovec part{.iov_base = &byte, .iov_len = 1};
  alignas(cmsghdr) std::array<std::byte, CMSG_SPACE(sizeof(int))> space{};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = space.data();
  message.msg_controllen = space.size();
  cmsghdr* gift = CMSG_FIRSTHDR(&message);
  gift->cmsg_level = SOL_SOCKET;
  gift->cmsg_type = SCM_RIGHTS;
  gift->cmsg_len = CMSG_LEN(sizeof(int));
  const int file = own_file(told);
  std::memcpy(CMSG_DATA(gift), &file, sizeof file);
  return refused(told,
                 [&](io_uring_sqe& entry) { ::io_uring_prep_sendmsg(&entry, from.get(), &message, 0); });
}
int splice_pages(const Targets& told) {
  if (const int no = refused_without_descriptor(told, IORING_OP_SPLICE); no != 0) return no;
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return errno;
  const UniqueFd out(ends[0]), in(ends[1]);
  return refused(told, [&](io_uring_sqe& entry) {
    ::io_uring_prep_splice(&entry, own_file(told), 0, in.get(), -1, 1, 0);
  });
}

// Whatever else the host has open: its own file by the number, not as the ring's.
int other_descriptor(const Targets& told) {
  char byte = 0;
  return refused(told,
                 [&](io_uring_sqe& entry) { ::io_uring_prep_read(&entry, own_file(told), &byte, 1, 0); });
}
int replace_file(const Targets& told) {
  const auto put = [&told](int fd) {
    return refused(told, [&](io_uring_sqe& entry) { ::io_uring_prep_files_update(&entry, &fd, 1, 0); });
  };
  const int no = put(STDIN_FILENO);
  return no != 0 ? no : put(own_file(told));
}
int send_to_ring(const Targets& told) {
  io_uring* const ring = own_ring(own_file(told));
  if (ring == nullptr) return ENOTRECOVERABLE;
  return refused(told,
                 [&](io_uring_sqe& entry) { ::io_uring_prep_msg_ring(&entry, ring->ring_fd, 0, 1, 0); });
}
// /dev/null takes any, and does nothing.
int command_device(const Targets& told) {
  return refused(told, [](io_uring_sqe& entry) {
    ::io_uring_prep_rw(IORING_OP_URING_CMD, &entry, STDIN_FILENO, nullptr, 0, 0);
  });
}
// A thread of the kernel's for it, as many as one likes.
int use_worker(const Targets& told) {
  char byte = 0;
  return refused(told, [&](io_uring_sqe& entry) {
    ::io_uring_prep_read(&entry, 0, &byte, 1, 0);
    entry.flags |= IOSQE_FIXED_FILE | IOSQE_ASYNC;
  });
}

int register_with(const Targets& told, unsigned what, const void* argument, unsigned count) {
  io_uring* const ring = own_ring(own_file(told));
  if (ring == nullptr) return ENOTRECOVERABLE;
  return refusal(::syscall(SYS_io_uring_register, ring->ring_fd, what, argument, count, 0, 0));
}
int register_file(const Targets& told) {
  const auto put = [&told](int fd) {
    io_uring_files_update update{};
    update.fds = reinterpret_cast<std::uintptr_t>(&fd);
    return register_with(told, IORING_REGISTER_FILES_UPDATE, &update, 1);
  };
  const int no = put(STDIN_FILENO);
  return no != 0 ? no : put(own_file(told));
}
// Not a page of the library's: the kernel takes none of files.
int register_buffer(const Targets& told) {
  void* page = ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED) return ENOTRECOVERABLE;
  const iovec buffer{.iov_base = page, .iov_len = 4096};
  int no = register_with(told, IORING_REGISTER_BUFFERS, &buffer, 1);
  if (no == 0) no = register_with(told, IORING_UNREGISTER_BUFFERS, nullptr, 0);
  ::munmap(page, 4096);
  return no;
}
int register_credentials(const Targets& told) {
  return register_with(told, IORING_REGISTER_PERSONALITY, nullptr, 0);
}

constexpr const char* kPaths = "ring user root landlock";
constexpr Attempt kAttempts[] = {
    {"ring_open_secret", "by io_uring: open a file that only root may read", kPaths, open_secret},
    {"ring_open_other_image", "by io_uring: openat2 of another LUN's backing file", kPaths, open_other_image},
    {"ring_look_at_secret", "by io_uring: statx", "ring root", look_at_secret},
    {"ring_link_other_image", "by io_uring: link another LUN's backing file", kPaths, link_other_image},
    {"ring_rename_other_image", "by io_uring: rename another LUN's backing file", kPaths, rename_other_image},
    {"ring_make_folder", "by io_uring: mkdir in /tmp", "ring root landlock", make_folder},
    {"ring_unix_socket", "by io_uring: a UNIX socket", "ring", unix_socket},
    {"ring_netlink_socket", "by io_uring: a netlink socket", "ring", netlink_socket},
    {"ring_cipher_socket", "by io_uring: a socket of the kernel's ciphers (AF_ALG)", "ring", cipher_socket},
    {"ring_connect_to_bus", "by io_uring: connect to the system bus", "ring root", connect_to_bus},
    {"ring_connect_by_inet", "by io_uring: connect to 127.0.0.1", "ring network-namespace", connect_by_inet},
    {"ring_accept", "by io_uring: accept", "ring", accept_somebody},
    {"ring_send_descriptor", "by io_uring: sendmsg with a descriptor", "ring", send_descriptor},
    {"ring_splice", "by io_uring: splice", "ring", splice_pages},
    {"ring_other_descriptor", "by io_uring: read what is not the ring's file", "ring", other_descriptor},
    {"ring_replace_file", "by io_uring: put another file in the place of the ring's", "ring", replace_file},
    {"ring_send_to_ring", "by io_uring: a message to a ring", "ring", send_to_ring},
    {"ring_command_device", "by io_uring: a device's own command (uring_cmd)", "ring", command_device},
    {"ring_use_worker", "by io_uring: have the kernel start a thread", "ring", use_worker},
    {"register_file", "io_uring_register of another file", "seccomp ring", register_file},
    {"register_buffer", "io_uring_register of memory", "seccomp ring", register_buffer},
    {"register_credentials", "io_uring_register of who it is now", "seccomp ring", register_credentials},
};

}  // namespace

std::span<const Attempt> attempts_on_ring() {
  return kAttempts;
}

}  // namespace bulkhead::test
