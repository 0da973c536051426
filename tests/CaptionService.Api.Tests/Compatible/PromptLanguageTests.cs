using CaptionService.Api.Compatible;

namespace CaptionService.Api.Tests.Compatible;

/// <summary>A prompt chooses the language only where it is plainly German or Chinese.</summary>
public sealed class PromptLanguageTests
{
    [Theory]
    [InlineData("Beschreibe das Bild.", "de")]
    [InlineData("Was siehst du auf dem Foto?", "de")]
    [InlineData("ERSTELLE EINE BILDUNTERSCHRIFT MIT GENAU EINEM SATZ", "de")]
    [InlineData("请用一句话描述这张图片。", "zh")]
    [InlineData("描述 image", null)]              // 5 of 7 letters are Latin
    [InlineData("描述这张图片 (JPEG)", "zh")]
    [InlineData("この画像を説明してください", null)]    // Japanese
    [InlineData("이 사진을 설명해 주세요", null)]
    [InlineData("Describe this image in German.", null)]
    [InlineData("Describe the image \"Das Bild\" in one sentence.", null)]
    [InlineData("What is this? The Volkswagen die-cast model was in an auction.", null)]
    [InlineData("Beschrijf de afbeelding in een zin.", null)]
    [InlineData("Bild", null)]
    [InlineData("", null)]
    [InlineData(null, null)]
    public void The_rule_is(string? prompt, string? language) => Assert.Equal(language, PromptLanguage.Of(prompt));
}
