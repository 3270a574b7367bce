#include "handler-host/runtime/handler_library.h"

#include <gmock/gmock.h>

#include <cerrno>
#include <filesystem>
#include <string>

namespace bulkhead::host {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

std::string odd(const std::string& name) {
  return std::filesystem::absolute("handler-host/runtime/testing/" + name);
}

Error refusal(const std::string& path, std::string_view subtype = "odd") {
  auto module = load_handler(path, subtype);
  return module ? Error{} : module.error();
}

TEST(LoadHandler, TakesOneThatFits) {
  auto module = load_handler(odd("odd_handler.so"), "odd");
  ASSERT_TRUE(module) << module.error().what;
  EXPECT_STREQ((*module)->subtype, "odd");
}

TEST(LoadHandler, NamesTheLibraryThatIsMissing) {
  const Error error = refusal("/nonexistent/handler_x.so");
  EXPECT_EQ(error.sys_errno, ENOENT);
  EXPECT_THAT(error.what,
              AllOf(HasSubstr("handler /nonexistent/handler_x.so is not usable"), HasSubstr("No such file")));
}

TEST(LoadHandler, TakesNoRelativePath) {
  EXPECT_THAT(refusal("handler_x.so").what, HasSubstr("its path is not absolute"));
}

TEST(LoadHandler, ALibraryThatIsNoHandlerIsTold) {
  EXPECT_THAT(refusal(odd("no_handler.so")).what, HasSubstr("does not export bulkhead_handler_module()"));
}

TEST(LoadHandler, AnotherApiVersionIsTold) {
  for (const char* name : {"odd_version.so", "odd_short.so"})
    EXPECT_THAT(refusal(odd(name)).what, HasSubstr("install handler and program of the same release"))
        << name;
}

TEST(LoadHandler, AnotherSubtypeThanTheManifestsIsTold) {
  EXPECT_THAT(refusal(odd("odd_handler.so"), "file").what,
              HasSubstr("it serves subtype odd, its manifest says file"));
}

TEST(LoadHandler, AHandlerWithoutFunctionsIsTold) {
  EXPECT_THAT(refusal(odd("odd_empty.so")).what, HasSubstr("it has no open() or no check()"));
}

}  // namespace
}  // namespace bulkhead::host
