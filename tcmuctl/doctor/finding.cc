#include "tcmuctl/doctor/finding.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/printable.h"

namespace bulkhead::tcmuctl {
namespace {

std::string mark(Health health, Colors colors) {
  switch (health) {
    case Health::Good:
      return paint("good   ", Color::Green, colors);
    case Health::Notice:
      return paint("notice ", Color::Yellow, colors);
    case Health::Problem:
      return paint("PROBLEM", Color::Red, colors);
  }
  return "";
}

}  // namespace

bool has_problem(const Findings& findings) {
  return std::ranges::any_of(findings, [](const Finding& one) { return one.health == Health::Problem; });
}

std::string findings_view(const Findings& findings, Colors colors) {
  std::string text;
  for (const Finding& one : findings) {
    text += fmt::format("{}  {}\n", mark(one.health, colors), printable(one.what));
    if (!one.remedy.empty()) text += fmt::format("         -> {}\n", printable(one.remedy));
  }
  auto problems = std::ranges::count(findings, Health::Problem, &Finding::health);
  text += problems == 0 ? "No problem found.\n"
                        : fmt::format("{} problem{} found.\n", problems, problems == 1 ? "" : "s");
  return text;
}

}  // namespace bulkhead::tcmuctl
