# SPDX-License-Identifier: Apache-2.0
# programs: identify-im6 convert-im6.q16
# packages: imagemagick
# seen: convert-im6.q16
# long
c=convert-im6.q16
$c -seed 7 -size 900x700 plasma:navy-gold -resize 1500x1100 -blur 0x3 -rotate 17 one.png
$c one.png -colorspace Lab -posterize 12 -distort barrel '0.1 0 0' two.jpg
$c one.png two.jpg -gravity center -composite -quantize RGB -colors 64 three.gif
for name in one.png two.jpg three.gif; do identify-im6 -format '%m %w %h %#\n' $name; done
