#include "supervisor/dbus/text.h"

#include <gtest/gtest.h>

namespace bulkhead::supervisor {
namespace {

using namespace std::string_literals;

TEST(Utf8, ValidTextStaysAsItIs) {
  for (const std::string text :
       {"", "file//srv/a b.img", "gr\xc3\xb6\xc3\x9f", "\xe2\x82\xac", "\xf0\x9f\x9a\xa2", "a\nb"})
    EXPECT_EQ(utf8(text), text);
}

TEST(Utf8, EveryByteOfNoSequenceIsReplacedAlone) {
  EXPECT_EQ(utf8("a\xff"
                 "b"),
            "a\xef\xbf\xbd"
            "b");
  EXPECT_EQ(utf8("\xe2\x82"), "\xef\xbf\xbd\xef\xbf\xbd");  // cut off
  EXPECT_EQ(utf8("\xc0\xaf"), "\xef\xbf\xbd\xef\xbf\xbd");  // overlong '/'
  EXPECT_EQ(utf8("\xe0\x80\xaf").size(), 9u);               // overlong in three bytes
  EXPECT_EQ(utf8("\xed\xa0\x80").size(), 9u);               // surrogate
  EXPECT_EQ(utf8("\xf4\x90\x80\x80").size(), 12u);          // beyond U+10FFFF
  EXPECT_EQ(utf8("\xf5\x80\x80\x80").size(), 12u);
}

TEST(Utf8, NulDoesNotCutTheTextShort) {
  EXPECT_EQ(utf8("a\0b"s),
            "a\xef\xbf\xbd"
            "b");
}

TEST(DevicePath, TheHbaStaysReadableAndTheNameIsEscaped) {
  EXPECT_EQ(device_path({"user_12", "d0"}), "/org/kernel/TCMUDevices1/user_12/d0");
  EXPECT_EQ(device_path({"user_1", "vm.1"}), "/org/kernel/TCMUDevices1/user_1/vm_2e1");
  EXPECT_EQ(device_path({"user_1", "a_b"}), "/org/kernel/TCMUDevices1/user_1/a_5fb");
  EXPECT_EQ(device_path({"user_1", "7"}), "/org/kernel/TCMUDevices1/user_1/_37");
  EXPECT_EQ(device_path({"user_1", ""}), "/org/kernel/TCMUDevices1/user_1/_");
  EXPECT_EQ(device_path({"../x", "d0"}), "/org/kernel/TCMUDevices1/_2e_2e_2fx/d0");
}

TEST(DevicePath, DifferentNamesHaveDifferentPaths) {
  EXPECT_NE(device_path({"user_1", "a.b"}), device_path({"user_1", "a_2eb"}));
}

TEST(ExportableSubtype, IsOneElementOfAnObjectPathAndNotTheManager) {
  for (const std::string good : {"file", "qcow", "my_handler2", "File", "7up"})
    EXPECT_TRUE(exportable_subtype(good));
  for (const std::string bad : {"", "a/b", "a-b", "a b", "a.b", "HandlerManager1", "\xc3\xb6"})
    EXPECT_FALSE(exportable_subtype(bad)) << bad;
}

}  // namespace
}  // namespace bulkhead::supervisor
