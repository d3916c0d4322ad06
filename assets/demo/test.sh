# Looks at what was built. No test here finds a service that is slow under real traffic: that is what the canary is for.
set -eu
passed=0 failed=0 cases=
check() { # NAME PATTERN
  if grep -q "$2" dist/service.json; then
    passed=$((passed + 1)) cases="$cases<testcase name=\"$1\"/>"
  else
    failed=$((failed + 1)) cases="$cases<testcase name=\"$1\"><failure/></testcase>"
  fi
}
check "it says its version" '"version": *"[0-9.]*"'
check "it says how long an answer takes" '"latency_ms": *[0-9]'
check "it says which share may fail" '"error_rate": *[0-9]'
echo "<testsuite name=\"service\" tests=\"$((passed + failed))\" failures=\"$failed\">$cases</testsuite>" > report.xml
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
