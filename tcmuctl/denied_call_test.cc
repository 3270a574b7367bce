#include "tcmuctl/denied_call.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace bulkhead::tcmuctl {
namespace {

using ::testing::HasSubstr;

// As Linux 6.1 and journald 252 wrote them; the part behind comm differs from case to case.
constexpr std::string_view kOfKernel =
    "audit: type=1326 audit(1795687983.848:2): auid=4294967295 uid=1879048193 gid=1879048193 ses=4294967295 "
    "subj=kernel pid=343 comm=\"tcmu:pe/escaper\" exe=\"/usr/lib/tcmu-bulkhead/tcmu-handler-host\" sig=31 "
    "arch=c000003e syscall=319 compat=0 ip=0x7f3cae31f829 code=0x80000000";

std::string with(std::string_view from, std::string_view to) {
  std::string record(kOfKernel);
  return record.replace(record.find(from), from.size(), to);
}

TEST(DeniedCall, NamesTheCallAndWhoMadeIt) {
  EXPECT_EQ(describe_denied_call(kOfKernel),
            "2026-11-26 10:13:03 UTC: tcmu:pe/escaper (pid 343): memfd_create; it was ended (SIGSYS)");
}

TEST(DeniedCall, AfterWhateverAJournalPutsBeforeIt) {
  EXPECT_EQ(describe_denied_call("Nov 26 10:13:04 guest kernel: " + std::string(kOfKernel)),
            describe_denied_call(kOfKernel));
  EXPECT_EQ(describe_denied_call(with("audit: type=1326 audit(1795687983.848:2):", "audit[343]: SECCOMP")),
            "tcmu:pe/escaper (pid 343): memfd_create; it was ended (SIGSYS)");
  EXPECT_EQ(describe_denied_call(with("audit: type=1326 audit(", "type=SECCOMP msg=audit(")),
            describe_denied_call(kOfKernel));
}

TEST(DeniedCall, OneThatOnlyFailsIsTheSupervisors) {
  EXPECT_THAT(*describe_denied_call(
                  with("sig=31", "sig=0").replace(with("sig=31", "sig=0").find("0x80000000"), 10, "0x50026")),
              HasSubstr("memfd_create; it got ENOSYS"));
}

TEST(DeniedCall, TheArchitectureDecidesWhatANumberMeans) {
  EXPECT_THAT(*describe_denied_call(with("arch=c000003e syscall=319", "arch=40000003 syscall=20")),
              HasSubstr(": getpid;"));
  EXPECT_THAT(*describe_denied_call(with("syscall=319", "syscall=99999")),
              HasSubstr("system call 99999 of architecture 0xc000003e, whose name is not known"));
}

TEST(DeniedCall, ANameThatTheKernelHadToEncodeIsReadable) {
  EXPECT_THAT(*describe_denied_call(with("\"tcmu:pe/escaper\"", "746D637520226122")),
              HasSubstr("tmcu \"a\" (pid 343)"));
  EXPECT_THAT(*describe_denied_call(with("\"tcmu:pe/escaper\"", "xyz")), HasSubstr("xyz (pid 343)"));
}

TEST(DeniedCall, AnythingElseIsNone) {
  for (const std::string& line :
       {std::string(), std::string("type=1326 "), with("type=1326", "type=1325"), with("pid=343", "pid=3x"),
        with("syscall=319", "syscall="), with("syscall=319", "asyscall=319"),
        with("arch=c000003e", "arch=ffffffffffff")})
    EXPECT_EQ(describe_denied_call(line), std::nullopt) << line;
  const std::vector<std::string> words{"type=1325", "pid=1"};
  EXPECT_EQ(decode_seccomp(words).error().code, ExitCode::Usage);
}

}  // namespace
}  // namespace bulkhead::tcmuctl
