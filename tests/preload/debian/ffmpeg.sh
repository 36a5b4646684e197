# SPDX-License-Identifier: Apache-2.0
# programs: ffmpeg
# packages: ffmpeg
# seen: ffmpeg
# long
ffmpeg -v error -f lavfi -i testsrc2=s=640x360:d=6 -f lavfi -i sine=d=6 -threads 3 -c:v libx264 -preset fast -c:a aac -y one.mkv 2>&1
ffmpeg -v error -i one.mkv -map 0 -f framemd5 - | cksum
ffmpeg -v error -i one.mkv -vf 'scale=320:-1,hflip,boxblur=3' -c:v libvpx -b:v 300k -c:a libopus -y two.webm 2>&1
ffmpeg -v error -i two.webm -map 0:v -f null - && ffprobe -v error -show_entries stream=codec_name,width,height,nb_read_packets -count_packets two.webm
