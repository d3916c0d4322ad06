# Puts what is released into dist/.
set -eu
mkdir -p dist
cp service.json dist/service.json
echo "built $(grep -o '"version": *"[^"]*"' dist/service.json)"
