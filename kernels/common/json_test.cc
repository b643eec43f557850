#include "json.h"

#include "error.h"
#include "test.h"

namespace redraft {
namespace {

Json parse(std::string_view text, const JsonLimits& limits = JsonLimits()) {
  return Json::parse(text, REDRAFT_BAD_CONFIG, "the test", limits);
}

void refuses(std::string_view text, const char* reason) { EXPECT_THROW(parse(text), REDRAFT_BAD_CONFIG, reason); }

TEST(Json, ReadsEveryKind) {
  const Json json = parse(R"( {"a":[1,-2.5e3,0,-0,1e-3,12345678901234567890],"b":"x\n\u00e9\ud83d\ude00","c":{},"d":[],
    "e":true,"f":false,"g":null} )");
  const auto& numbers = json.find("a")->items();
  EXPECT_EQ(numbers.size(), size_t{6});
  EXPECT_EQ(numbers[1].number(), -2500.0);
  EXPECT_EQ(numbers[4].number(), 1e-3);
  EXPECT_EQ(numbers[5].number(), 12345678901234567890.0);
  EXPECT_EQ(json.find("b")->text(), "x\n\xC3\xA9\xF0\x9F\x98\x80");
  EXPECT_TRUE(json.find("c")->is_object() && json.find("d")->is_array());
  EXPECT_TRUE(json.find("e")->boolean() && !json.find("f")->boolean() && json.find("g")->is_null());
  EXPECT_TRUE(json.find("h") == nullptr);
  EXPECT_EQ(parse("5e-324").number(), 5e-324);
}

TEST(Json, RefusesWhatIsNotJson) {
  refuses("", "ends early");
  refuses("{", "expected a field's name at byte 1");
  refuses("[1,]", "expected a value at byte 3");
  refuses("[1 2]", "expected ','");
  refuses("{\"a\":1,}", "expected a field's name");
  refuses("{\"a\" 1}", "expected ':'");
  refuses("{a:1}", "expected a field's name");
  refuses("01", "something follows the value at byte 1");
  refuses("1.", "expected a digit");
  refuses("+1", "expected a value");
  refuses("--1", "expected a digit");
  refuses("-", "expected a");
  refuses(".5", "expected a value");
  refuses("1e", "expected a digit");
  refuses("1e999", "out of range");
  refuses("NaN", "expected a value");
  refuses("nul", "expected a value");
  refuses("true false", "something follows");
  refuses("\"a", "does not end");
  refuses("\"\t\"", "control character");
  refuses("\"\\x\"", "unknown escape");
  refuses("\"\\u12g4\"", "hexadecimal");
  refuses("\"\\ud800\"", "lone surrogate");
  refuses("\"\\ud800\\u0041\"", "lone surrogate");
  refuses("\"\\udc00\"", "lone surrogate");
  refuses("\"\xC0\xAF\"", "broken UTF-8");
  refuses("\"\xED\xA0\x80\"", "broken UTF-8");
  refuses("\"\xF4\x90\x80\x80\"", "broken UTF-8");
  refuses("\"\xE2\x82\"", "broken UTF-8");
  refuses("{\"a\":1,\"a\":2}", "\"a\" repeats");
  refuses(std::string(100, '1') + "e99999999", "out of range");
}

TEST(Json, ObeysItsLimits) {
  EXPECT_TRUE(parse(std::string(60, '[') + std::string(60, ']')).is_array());
  EXPECT_THROW(parse(std::string(100000, '[')), REDRAFT_BAD_CONFIG, "nested deeper than 64");
  EXPECT_THROW(parse("[1,2,3]", {.bytes_max = 6}), REDRAFT_BAD_CONFIG, "more than 6 bytes");
  EXPECT_THROW(parse("[1,2,3]", {.values_max = 3}), REDRAFT_BAD_CONFIG, "more than 3 values");
}

TEST(Json, EveryPrefixOfADocumentIsRefusedWithoutACrash) {
  const std::string text = R"({"a":[1.5e1,"\u00e9\ud83d\ude00",{"b":null}],"c":true})";
  for (size_t bytes = 0; bytes < text.size(); ++bytes) {
    bool refused = false;
    try {
      parse(std::string_view(text).substr(0, bytes));
    } catch (const Error&) { refused = true; }
    EXPECT_TRUE(refused);
  }
  parse(text);
}

TEST(Json, IntegersAreExactOrRefused) {
  int64_t value = 0;
  EXPECT_TRUE(parse("9007199254740992").integer(0, int64_t{1} << 53, &value) && value == int64_t{1} << 53);
  EXPECT_TRUE(!parse("1.5").integer(0, 10, &value));
  EXPECT_TRUE(!parse("11").integer(0, 10, &value));
  EXPECT_TRUE(!parse("1e300").integer(0, 10, &value));
  EXPECT_TRUE(!parse("\"1\"").integer(0, 10, &value));
}

TEST(JsonFields, NamesWhatIsWrong) {
  const Json json = parse(R"({"a":1,"b":"x","c":true,"d":0.5,"e":null,"f":7})");
  JsonFields fields(json, REDRAFT_BAD_HEAD, "config.json");
  EXPECT_EQ(fields.integer("a", 0, 10), 1);
  EXPECT_EQ(fields.integer("e", 0, 10, 4), 4);
  EXPECT_EQ(fields.text("b"), "x");
  EXPECT_EQ(fields.boolean("c", false), true);
  EXPECT_EQ(fields.number("d", 0, 1, 0), 0.5);
  EXPECT_THROW(fields.integer("g", 0, 10), REDRAFT_BAD_HEAD, "config.json: \"g\" is missing");
  EXPECT_THROW(fields.integer("a", 2, 10), REDRAFT_BAD_HEAD, "\"a\" must be a whole number in [2, 10]");
  EXPECT_THROW(fields.text("a"), REDRAFT_BAD_HEAD, "\"a\" must be a string");
  EXPECT_THROW(fields.number("d", 1, 2, 1), REDRAFT_BAD_HEAD, "\"d\" must be a number in [1, 2]");
  EXPECT_THROW(fields.refuse_unknown(), REDRAFT_BAD_HEAD, "\"f\" is not a known field");
  fields.ignore("f");
  fields.refuse_unknown();
  EXPECT_THROW(JsonFields(*json.find("a"), REDRAFT_BAD_HEAD, "it"), REDRAFT_BAD_HEAD, "found a number");
}

TEST(JsonWriter, WritesWhatTheParserReads) {
  JsonWriter out;
  out.begin_object().key("a").begin_array().integer(-1).number(0.1).number(1e300).null().boolean(true).end_array();
  out.key("b\"\\").text(std::string_view("\n\0\xFF\xC3\xA9", 5)).key("c").begin_object().end_object().end_object();
  const std::string text = out.take();
  EXPECT_EQ(text, "{\"a\":[-1,0.1,1e+300,null,true],\"b\\\"\\\\\":\"\\u000a\\u0000\xEF\xBF\xBD\xC3\xA9\",\"c\":{}}");
  const Json json = parse(text);
  EXPECT_EQ(json.find("a")->items()[1].number(), 0.1);
  EXPECT_EQ(json.find("b\"\\")->text(), std::string("\n\0\xEF\xBF\xBD\xC3\xA9", 7));
  JsonWriter open;
  open.begin_array();
  EXPECT_THROW(open.take(), REDRAFT_INTERNAL, "assertion");
}

}  // namespace
}  // namespace redraft
